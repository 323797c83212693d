import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { LAST_BUCKET } from '../../plugins/segments/percentage.ts'
import { pythonFloatText } from '../../plugins/segments/python-numbers.ts'
import type { Condition, Identity } from '../../plugins/segments/segment.ts'
import { parseTraits } from '../../plugins/segments/traits-json.ts'
import { random } from '../support/random.ts'
import {
  conditionsOf,
  ENVIRONMENT,
  evaluated,
  onEveryPostgres,
  type Postgres,
  segmentOf,
  store,
  verdicts,
} from './identities-table.ts'

function buckets(name: string): readonly (readonly [string, number])[] {
  return JSON.parse(readFileSync(new URL(`../fixtures/segments/${name}.json`, import.meta.url), 'utf8'))
    .buckets
}

async function sameAsEvaluator(
  t: Test,
  postgres: Postgres,
  identities: readonly Identity[],
  conditions: readonly Condition[],
): Promise<void> {
  const segments = conditions.map(condition => segmentOf({ ...condition }))
  await store(postgres.client, identities)
  const found = await verdicts(postgres.client, conditionsOf({ postgres, segments }) as string[])
  const wrong = identities.flatMap((identity, row) => {
    const expected = evaluated(identity, segments)
    return conditions.flatMap((condition, index) =>
      found[row]?.[index] === expected[index]
        ? []
        : [{ traits: identity.traits, condition, found: found[row]?.[index] }],
    )
  })
  t.same(wrong.slice(0, 10), [])
}

await onEveryPostgres(t, (t, postgres) => {
  const { client, dialect } = postgres

  t.test('the buckets of the reference engine, also of values that are hashed again', async t => {
    const all = [...buckets('percentage-buckets'), ...buckets('percentage-rehash')]
    await store(
      client,
      all.map(([value], row) => ({ identifier: `i${row}`, traits: { t: value } })),
    )
    const wrong: unknown[] = []
    for (const [row, [value, bucket]] of all.entries()) {
      // It is in at its own percentage, and not at a little less.
      const segments = [bucket, bucket - 1e-9].map(threshold =>
        segmentOf({ property: 't', operator: 'PERCENTAGE_SPLIT', value: String(threshold) }),
      )
      const [is, isNot] = conditionsOf({ postgres, segments })
      const found = await client.query(`select ${is} as a, ${isNot} as b from identities i where id = ${row}`)
      if (found.rows[0].a !== true || found.rows[0].b !== false) wrong.push(value)
    }
    t.same(wrong, [])
    t.ok(all.length > 500)
  })

  t.test('values that are hashed more than twice', async t => {
    // No value is known that is: the second time is simulated by a function of the same name that is found first.
    await client.query(`create schema mocked;
      create function mocked.md5(text) returns text language sql immutable as
      $$ select case when $1 in ('seg,a', 'seg,a,seg,a', 'seg,a,seg,a,seg,a') then repeat('0', 28) || '270e' else repeat('0', 28) || '0005' end $$`)
    await client.query('set search_path = mocked, pg_catalog, public')
    t.teardown(() => client.query('reset search_path; drop schema mocked cascade'))
    await store(client, [{ identifier: 'x', traits: { t: 'a' } }])
    const at = (bucket: number) =>
      dialect.isInSplit("(i.traits ->> 't')", 'seg', bucket, {
        alias: 'i',
        literal: text => dialect.inline(text),
      })
    t.same(await verdicts(client, [at(4), at(5), at(LAST_BUCKET)]), ['ftt'])
  })

  t.test('floats as Python prints them', async t => {
    const next = random(7)
    const edges = ['0.0', '1.0', '0.1', '100.50', '0.0001', '0.00001', '0.000012345', '999999999999999.9']
    edges.push('1000000000000000.0', '1234567890123456.7', '9999999999999998.0', '9999999999999999.0')
    edges.push('10000000000000000.0', '12345678901234567.8', '123456789012345680.0', `1${'0'.repeat(290)}.0`)
    edges.push(`0.${'0'.repeat(290)}123`, `${'9'.repeat(298)}.9`, '0000.5', '-0.0')
    const texts = edges.flatMap(text => [text, `-${text}`.replace('--', '')])
    for (let count = 0; count < 20_000; count++) {
      const digits = String(Math.floor(next() * 10 ** (1 + Math.floor(next() * 15))))
      const more = `${digits}${Math.floor(next() * 1e15)}`.slice(0, 1 + Math.floor(next() * 22))
      const point = Math.floor(next() * (more.length + 1))
      const zeros = '0'.repeat(Math.floor(next() * 8))
      texts.push(
        `${next() < 0.3 ? '-' : ''}${more.slice(0, point) || '0'}.${next() < 0.3 ? zeros : ''}${more.slice(point) || '0'}`,
      )
    }
    const { rows } = await client.query(
      `select ${dialect.floatText('text')} as printed from unnest($1::text[]) with ordinality as row (text, n) order by n`,
      [texts],
    )
    const wrong = texts.filter((text, index) => rows[index].printed !== pythonFloatText(Number(text) + 0))
    t.same(wrong, [])
  })

  t.test('remainders are computed with the doubles that Python has', async t => {
    const next = random(11)
    const numbers = [
      '0.1',
      '-0.1',
      '0.3',
      '35.0',
      '-35.5',
      '9007199254740993',
      '-9007199254740993',
      '1e3',
      '0.99999999999999988898',
    ]
    numbers.push(
      '-0.99999999999999988898',
      '-0.00000000000000000001',
      '123456789012345678901234567890',
      '1000000000000000',
    )
    numbers.push(
      '999999999999999',
      '-999999999999999',
      `${'7'.repeat(299)}`,
      `${'7'.repeat(290)}.25`,
      '0.0',
      '-7',
      '7',
      '0',
    )
    for (let count = 0; count < 50; count++)
      numbers.push(String((next() - 0.5) * 10 ** Math.floor(next() * 18)))
    const identities = numbers
      .filter(number => !number.includes('e-'))
      .map((number, index): Identity => ({ identifier: `i${index}`, traits: parseTraits(`{"t":${number}}`) }))
    const divisors = [
      '1',
      '3',
      '-3',
      '4',
      '0.1',
      '0.5',
      '-0.25',
      '1e16',
      '9007199254740992',
      '1e-300',
      '5e-324',
      '1.7e308',
      'inf',
      '-inf',
    ]
    const conditions = divisors.flatMap(divisor => {
      const remainders = ['0', '1', '-1', '2', '3', '4', '0.5', '-0.5', 'inf', '-inf', '-0', '0.25']
      // And one that somebody has.
      for (const number of numbers.slice(0, 40)) {
        const dividend = Number(number)
        const rest = dividend % Number(divisor)
        remainders.push(
          String(rest !== 0 && rest < 0 !== Number(divisor) < 0 ? rest + Number(divisor) : rest),
        )
      }
      return remainders.map(
        rest => ({ property: 't', operator: 'MODULO', value: `${divisor}|${rest}` }) as const,
      )
    })
    await sameAsEvaluator(t, postgres, identities, conditions)
  })

  t.test('operands are numbers when Python reads them as some', async t => {
    const values = [
      '1',
      '1.0',
      '10',
      '1000',
      '1000.0',
      '"1"',
      '"01"',
      '"1.0"',
      '"1000.0"',
      '" 1"',
      '"1e3"',
      'true',
    ]
    const identities = values.map(
      (value, index): Identity => ({ identifier: `i${index}`, traits: parseTraits(`{"t":${value}}`) }),
    )
    const operands = ['1', ' 1', '+1', '1.', '1_0', '1e3', '1E3', 'inf', 'nan', '\u0661', 'x']
    const operators = ['EQUAL', 'NOT_EQUAL', 'LESS_THAN', 'GREATER_THAN_INCLUSIVE', 'IN'] as const
    const conditions = operators.flatMap(operator =>
      operands.map((value): Condition => ({ property: 't', operator, value })),
    )
    await sameAsEvaluator(t, postgres, identities, conditions)
  })

  t.test('identifiers and keys that read as numbers are numbers', async t => {
    const texts = [
      '007',
      '7',
      '1.50',
      '-0',
      'true',
      'a',
      '1.0.0',
      '{}',
      ' 7',
      '7'.repeat(300),
      '7'.repeat(301),
    ]
    const identities = texts.flatMap((text, index): Identity[] => [
      { identifier: text, key: texts[(index + 3) % texts.length] as string },
      { identifier: `${text}.`, key: index % 2 === 0 ? null : '' },
    ])
    const operands = [
      '7',
      '007',
      '1.5',
      '0',
      'true',
      'a',
      'e_a.',
      '1.0.0:semver',
      '2|1',
      '7,a,true',
      '50',
      '{}',
    ]
    const operators = [
      ...(['EQUAL', 'NOT_EQUAL', 'LESS_THAN', 'GREATER_THAN_INCLUSIVE', 'IN', 'MODULO', 'CONTAINS'] as const),
      ...(['NOT_CONTAINS', 'PERCENTAGE_SPLIT', 'IS_SET', 'IS_NOT_SET'] as const),
    ]
    const conditions = ['$.identity.identifier', '$.identity.key'].flatMap(property =>
      operators.flatMap(operator => operands.map((value): Condition => ({ property, operator, value }))),
    )
    conditions.push(
      ...operands.map((value): Condition => ({ property: '', operator: 'PERCENTAGE_SPLIT', value })),
    )
    await sameAsEvaluator(t, postgres, identities, conditions)
  })

  t.test('an index serves EQUAL and IN on texts', async t => {
    await store(client, [])
    await client.query(
      `insert into identities (environment_id, id, identifier, traits)
       select '${ENVIRONMENT.key}', n, 'i' || n, jsonb_build_object('plan', 'plan' || n) from generate_series(1, 20000) n`,
    )
    await client.query(
      'create index by_trait on identities using gin (traits jsonb_path_ops); analyze identities',
    )
    for (const condition of [
      { property: 'plan', operator: 'EQUAL', value: 'plan77' },
      { property: 'plan', operator: 'IN', value: 'plan77,plan99' },
    ]) {
      const [sql] = conditionsOf({ postgres, segments: [segmentOf(condition)] })
      const { rows } = await client.query(`explain select count(*) from identities i where ${sql}`)
      t.match(rows.map(row => row['QUERY PLAN']).join('\n'), 'Bitmap Index Scan on by_trait')
    }
  })
})
