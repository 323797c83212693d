import { inspect } from 'node:util'
import { defineEntity, p, type SqlEntityManager, wrap } from '@mikro-orm/sql'
import fc from 'fast-check'
import t from 'tap'
import { entityHarvest } from '../../plugins/repository/bulk-harvest.ts'
import { insertAtOnce } from '../../plugins/repository/bulk-insert.ts'
import { Repository } from '../../plugins/repository/index.ts'
import type { SqlEm } from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'

// addMany's own way on PostgreSQL against MikroORM's unit of work: the same rows by both, compared as text.

const Owner = defineEntity({ name: 'Owner', properties: { id: p.integer().primary(), name: p.string() } })
const Pair = defineEntity({
  name: 'Pair',
  properties: {
    a: p.integer().primary(),
    b: p.string().primary(),
    owner: () => p.manyToOne(Owner).nullable(),
  },
})

/** A column per type, and values that have gone wrong somewhere. */
const big = [
  '0',
  '-1',
  '9007199254740993',
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
]
const texts = [
  '',
  'x',
  "'",
  '"',
  '\\',
  '\\\\',
  '\\n',
  '\n',
  'ü😀',
  '\0',
  'a\0b',
  '\ud800',
  'x\udfff',
  '{}',
  'null',
  '?',
  '??',
  ':a',
  '$1',
  'NaN',
  '1',
  'true',
  '\\x41',
]
const numbers = [
  0,
  -0,
  1,
  -1,
  1.5,
  2.5,
  -0.1,
  0.1,
  1e21,
  1e-7,
  1e300,
  5e-324,
  32_767,
  32_768,
  2 ** 31,
  2 ** 53,
  Number.MAX_VALUE,
  Number.NaN,
  Infinity,
  -Infinity,
]
const dates = [
  new Date(0),
  new Date('2026-02-28T23:59:59.999Z'),
  new Date('0001-01-01T00:00:00Z'),
  new Date('9999-12-31T23:59:59.999Z'),
  new Date(-62_167_219_200_001),
  new Date(8.64e15),
  new Date(-8.64e15),
  new Date(Number.NaN),
  new Date('1900-01-01T00:00:00Z'),
]
const json = [
  1,
  0,
  'x',
  '',
  '\0',
  '\ud800',
  'null',
  true,
  false,
  [],
  {},
  [1, 'a', null],
  { a: { b: [1] } },
  { k: '\0' },
  { '\ud800': 1 },
  { a: undefined },
  { d: new Date(0) },
  { n: Number.NaN },
  { __proto__: null, x: 1 },
  [[]],
  new Date(0),
  { toJSON: () => 5 },
]
const COLUMNS = {
  int: [p.integer(), [...numbers, ...texts, true, 5n]],
  small: [p.smallint(), [...numbers, '1', '']],
  tiny: [p.tinyint(), [...numbers, '1']],
  bigB: [p.bigint(), [...big, ...big.map(BigInt), ...numbers, 'x']],
  bigN: [p.bigint('number'), [...big, ...big.map(BigInt), ...numbers, 'x']],
  bigS: [p.bigint('string'), [...big, ...big.map(BigInt), ...numbers, 'x']],
  real: [p.float(), [...numbers, '1.5', 'x', 'NaN']],
  double: [p.double(), [...numbers, '1.5', 'x', 'NaN']],
  decimal: [p.decimal().precision(10).scale(2), [...numbers, '1.005', '123456789.99', 'x', 'NaN']],
  decimalN: [p.decimal('number').precision(10).scale(2), [...numbers, '1.005']],
  string: [
    p.string().length(5),
    [...texts, 'abcdef', 1, 1.5, -0, true, 5n, new Date(0), new Date(86_400_000)],
  ],
  char: [p.character().length(3), [...texts, 1]],
  text: [p.text(), [...texts, ...numbers, true, new Date(0), ['a'], { a: 1 }]],
  bool: [p.boolean(), [true, false, 0, 1, 'true', 'f', 'x', '']],
  uuid: [p.uuid(), ['0198e1a0-0000-7000-8000-000000000000', '0198E1A0000070008000000000000000', 'x', '']],
  date: [p.date(), ['2026-02-28', '2026-02-30', 'x', ...dates]],
  instant: [
    p.datetime(),
    [...dates, '2026-01-01T00:00:00Z', '2026-01-01 00:00:00', 'infinity', 'x', 1_700_000_000_000],
  ],
  instant0: [p.datetime().length(0), dates],
  instant6: [p.datetime().length(6), [...dates, '2026-01-01T00:00:00.123456Z']],
  local: [p.datetime().columnType('timestamp'), [...dates, '2026-01-01T00:00:00Z']],
  time: [p.time(), ['12:34:56', '24:00:00', '25:00', 'x', ...dates]],
  interval: [p.interval(), ['1 day', '1 mon -3 days 04:05:06.789', 'x', '', 5]],
  jsonb: [p.json(), json],
  json: [p.json().columnType('json'), json],
  array: [p.array(), [[], ['a', 'b,"\\{}'], ['NULL', ''], ['\0'], ['\ud800'], ['a', null], [1, 2], 'x']],
  ints: [p.array().columnType('int[]'), [[], [1, 2], ['1'], ['x']]],
  check: [p.enum(['a', "b'"]), ['a', "b'", 'c', 1]],
  native: [p.enum(['x', 'y z']).nativeEnumName('xyz'), ['x', 'y z', 'c']],
  blob: [p.blob(), [Buffer.from(''), Buffer.from([0, 255, 92, 39]), new Uint8Array([1, 2]), 'x', [1]]],
  bytes: [p.uint8array(), [new Uint8Array([0, 255, 92]), Buffer.from('x'), 'x']],
  'E f': [p.string(), texts],
  'c"d': [p.string(), texts],
} as const

type Column = keyof typeof COLUMNS
const names = Object.keys(COLUMNS) as Column[]

const Row = defineEntity({
  name: 'Row',
  tableName: 'a"row',
  schema: 'odd"schema',
  properties: {
    id: p.integer().primary(),
    ...(Object.fromEntries(
      names.map(name => [name, (COLUMNS[name][0] as never as { nullable(): unknown }).nullable()]),
    ) as Record<'int', never>),
    owner: () => p.manyToOne(Owner).nullable(),
  },
} as never)

type Values = Record<string, unknown>
/** What goes at once, as the first test finds out; rows of many values would otherwise hardly ever do. */
const accepted: { name: string; value: unknown }[] = []
const value = fc.oneof(
  {
    arbitrary: fc.constantFrom(...names).chain(name =>
      fc.record({
        name: fc.constant(name as string),
        value: fc.oneof(
          { arbitrary: fc.constantFrom(...(COLUMNS[name][1] as readonly unknown[])), weight: 8 },
          { arbitrary: fc.constantFrom(null, undefined), weight: 1 },
        ),
      }),
    ),
    weight: 8,
  },
  {
    arbitrary: fc.constantFrom<{ name: string; value: unknown }>(
      { name: 'owner', value: 1 },
      { name: 'owner', value: 999 },
      { name: 'owner', value: null },
      { name: 'owner', value: 'entity' },
      { name: 'owner', value: 'x' },
      { name: 'owner', value: { id: 1 } },
      { name: 'owner', value: { name: 'new' } },
    ),
    weight: 1,
  },
)
const good = fc.nat().map(at => accepted[at % accepted.length] as { name: string; value: unknown })
const row = fc
  .array(fc.oneof({ arbitrary: good, weight: 30 }, { arbitrary: value, weight: 1 }), { maxLength: 12 })
  .map(values => Object.fromEntries(values.map(one => [one.name, one.value])) as Values)

await onEveryBackend(
  t,
  async (t, backend) => {
    const orm = await backend.orm(t, { entities: [Owner, Pair, Row as never] })
    await orm.schema.create()
    await orm.em.fork().insert(Owner, { name: 'one' })

    const outcomeOf = async (
      save: (em: SqlEm, data: Values[]) => Promise<object[] | undefined>,
      rows: readonly Values[],
    ) => {
      const em = orm.em.fork() as SqlEntityManager
      await em.begin()
      try {
        await em.execute('alter sequence "odd""schema"."a""row_id_seq" restart with 1')
        const data = rows.map(one => ({
          ...one,
          ...(one.owner === 'entity' ? { owner: em.getReference(Owner, 1) } : {}),
        }))
        const saved = await save(em, data)
        if (saved === undefined) return undefined
        const stored = await em.execute('select t::text from "odd""schema"."a""row" t order by id')
        return { stored, entities: saved.map(one => wrap(one).toPOJO()) }
      } catch (error) {
        return { error: (error as { code?: string }).code ?? (error as Error).name }
      } finally {
        await em.rollback()
      }
    }
    const byUnitOfWork = (rows: readonly Values[]) =>
      outcomeOf(async (em, data) => {
        const made = data.map(one => em.create(Row as never, one as never) as object)
        await em.flush()
        return made
      }, rows)
    const atOnce = (rows: readonly Values[]) =>
      outcomeOf(
        (em, data) =>
          insertAtOnce(em, em.getMetadata().get(Row as never), data, 5_000, entityHarvest<object>),
        rows,
      )

    t.test('each value alone', async t => {
      let taken = 0
      for (const name of names) {
        for (const value of COLUMNS[name][1]) {
          const fast = await atOnce([{ [name]: value }])
          if (fast === undefined) continue
          taken++
          if ('stored' in fast) accepted.push({ name, value })
          t.strictSame(
            fast,
            await byUnitOfWork([{ [name]: value }]),
            `${name}: ${typeof value} ${String(JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}n` : v)))}`,
          )
        }
      }
      t.comment(`${taken} values went at once`)
      t.ok(taken > 200)
    })

    t.test('rows of many values', async t => {
      let taken = 0
      const property = fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 4 }), async rows => {
        const fast = await atOnce(rows)
        if (fast === undefined) return
        taken++
        const slow = await byUnitOfWork(rows)
        // Of several values that are refused, either may be named first.
        if ('error' in fast) t.ok(slow !== undefined && 'error' in slow, inspect(rows))
        else t.strictSame(fast, slow, inspect(rows))
      })
      await fc.assert(property, { numRuns: 300, endOnFailure: true, seed: 7 })
      t.comment(`${taken} of 300 went at once`)
      t.ok(taken > 50)
    })

    t.test('defaults, onCreate and relations are what the unit of work makes of them', async t => {
      const statements: string[] = []
      let calls = 0
      const Keeper = defineEntity({
        name: 'Keeper',
        properties: { id: p.integer().primary(), name: p.string() },
      })
      const Full = defineEntity({
        name: 'Full',
        properties: {
          id: p.uuid().primary().defaultRaw('gen_random_uuid()'),
          name: p.string(),
          count: p.integer().default(7),
          kind: p.enum(['a', 'b']).default('b'),
          at: p.datetime().defaultRaw('now()'),
          ratio: p.double().defaultRaw('0.5').nullable(),
          made: p.integer().onCreate(() => ++calls),
          slug: p.string().onCreate((row: { name: string }) => row.name.toLowerCase()),
          owner: () => p.manyToOne(Keeper).nullable(),
        },
      })
      const orm = await backend.orm(t, {
        entities: [Keeper, Full],
        debug: ['query'],
        colors: false,
        logger: (message: string) => statements.push(message),
      })
      await orm.schema.create()
      const em = orm.em.fork()
      const owner = await new Repository(Keeper, em).add({ name: 'two' })
      statements.length = 0
      const repository = new Repository(Full, em)
      const rows = await repository.addMany([
        { name: 'A', owner },
        { name: 'B', owner: owner.id, count: 1 },
        { name: 'C', owner: orm.em.fork().getReference(Keeper, owner.id) as never, kind: 'a' },
        { name: 'D' },
      ] as never)
      t.equal(
        statements.filter(sql => sql.includes('json_populate_recordset')).length,
        0,
        'a stranger is left to MikroORM',
      )
      t.equal(rows.length, 4)
      statements.length = 0
      const all = await repository.addMany([
        { name: 'A', owner },
        { name: 'B', owner: owner.id, count: 1 },
        { name: 'D', slug: null, made: 99 },
      ] as never)
      t.equal(statements.filter(sql => sql.includes('json_populate_recordset')).length, 1, 'one statement')
      t.match(all, [
        { name: 'A', count: 7, kind: 'b', slug: 'a', ratio: 0.5, owner },
        { name: 'B', count: 1, slug: 'b', owner },
        { name: 'D', slug: 'd', made: 99 },
      ])
      t.ok(all.every(row => row.at instanceof Date && /^[0-9a-f-]{36}$/.test(row.id)))
      statements.length = 0
      await em.flush()
      t.strictSame(statements, [], 'nothing is left to do')
      const [first] = all as [(typeof all)[0]]
      first.count = 8
      await em.flush()
      t.equal(statements.filter(sql => sql.includes('update')).length, 1)
      const again = await orm.em.fork().findOneOrFail(Full, first.id)
      t.equal(again.count, 8)
      t.equal(again.at.getTime(), first.at.getTime())
      t.equal(em.getUnitOfWork().getById(Full as never, first.id), first, 'the session has it')
    })

    t.test('keys alone: the same rows, and no entity that a flush would look at', async t => {
      const em = orm.em.fork()
      await em.begin()
      const owners = new Repository(Owner, em)
      const given = Array.from({ length: 12_000 }, (_, at) => ({ name: `keys ${at}` }))
      const keys = await owners.addMany(given, { returning: 'keys' })
      t.equal(keys.length, given.length)
      t.equal([...em.getUnitOfWork().getIdentityMap()].length, 0)
      const stored = await em.execute("select id, name from owner where name like 'keys %' order by id")
      t.strictSame(
        stored,
        given.map(({ name }, at) => ({ id: keys[at], name })),
        'in the order of the data',
      )
      t.strictSame(await owners.addMany([{ id: 70_000, name: 'given' }], { returning: 'keys' }), [70_000])
      const known = owners.addMany([em.create(Owner, { name: 'an entity' })], { returning: 'keys' })
      t.type((await known)[0], 'number', 'also where the unit of work saves')
      await em.rollback()
    })

    t.test('keys have the order of the data, whichever columns a row has', async t => {
      const em = orm.em.fork()
      await em.begin()
      const rows = await new Repository(Owner, em).addMany(
        Array.from({ length: 9 }, (_, at) =>
          at % 3 === 1 ? { name: `${at}`, id: 1_000 + at } : { name: `${at}` },
        ),
      )
      const generated = rows.filter((_, at) => at % 3 !== 1).map(({ id }) => id)
      t.strictSame(
        generated,
        [...generated].sort((a, b) => a - b),
        'some of them given',
      )
      t.strictSame(
        rows.flatMap(({ id }, at) => (at % 3 === 1 ? [id] : [])),
        [1_001, 1_004, 1_007],
      )
      const mixed = Array.from({ length: 9 }, (_, at) => (at % 2 === 0 ? { int: at } : { text: `${at}` }))
      const saved = await insertAtOnce(
        em,
        em.getMetadata().get(Row as never),
        mixed,
        4,
        entityHarvest<{ id: number }>,
      )
      const ids = (saved as { id: number }[]).map(({ id }) => id)
      t.strictSame(
        ids,
        [...ids].sort((a, b) => a - b),
        'in several statements',
      )
      const stored = await em.execute('select "int", "text" from "odd""schema"."a""row" order by id')
      t.strictSame(
        stored,
        mixed.map(row => ({ int: null, text: null, ...row })),
      )
      await em.rollback()
    })

    t.test('what only the unit of work calls, or can know, is left to it', async t => {
      class Built {
        id!: number
        name = 'built'
      }
      const BuiltSchema = defineEntity({
        class: Built,
        properties: { id: p.integer().primary(), name: p.string() },
      } as never)
      const Keeper = defineEntity({
        name: 'Warden',
        properties: { id: p.integer().primary(), name: p.string() },
      })
      const Looking = defineEntity({
        name: 'Looking',
        properties: {
          id: p.integer().primary(),
          owner: () => p.manyToOne(Keeper).nullable(),
          by: p.string().onCreate((row: { owner?: { name: string } }) => row.owner?.name ?? 'nobody'),
        },
      })
      const Hooked = defineEntity({
        name: 'Hooked',
        properties: { id: p.integer().primary(), name: p.string() },
        hooks: { beforeCreate: [args => void Object.assign(args.entity, { name: 'hooked' })] },
      })
      const orm = await backend.orm(t, { entities: [Keeper, Looking, Hooked, BuiltSchema] })
      await orm.schema.create()
      const em = orm.em.fork()
      const owner = await new Repository(Keeper, em).add({ name: 'Ada' })
      t.match(await new Repository(Looking, em).addMany([{ owner }] as never), [{ by: 'Ada' }])
      t.match(await new Repository(Hooked, em).addMany([{ name: 'x' }]), [{ name: 'hooked' }])
      t.match(await new Repository(BuiltSchema as never, em).addMany([{}] as never), [{ name: 'built' }])
      const heard: string[] = []
      em.getEventManager().registerSubscriber({
        afterFlush: ({ uow }) => void heard.push(...uow.getChangeSets().map(({ type }) => type)),
      })
      await new Repository(Keeper, em).addMany([{ name: 'x' }])
      t.strictSame(heard, ['create'])
    })

    t.test('inside em.transactional, which listens to flushes itself, rows still go at once', async t => {
      const statements: string[] = []
      const orm = await backend.orm(t, {
        entities: [Owner],
        debug: ['query'],
        colors: false,
        logger: (message: string) => statements.push(message),
      })
      const em = orm.em.fork()
      const owners = await em.transactional(inner =>
        new Repository(Owner, inner).addMany([{ name: 'x' }, { name: 'y' }]),
      )
      t.equal(statements.filter(sql => sql.includes('json_populate_recordset')).length, 1)
      statements.length = 0
      await em.flush()
      t.strictSame(statements, [])
      t.ok(owners.every(owner => em.getUnitOfWork().getById(Owner as never, owner.id) === owner))
    })
  },
  ['PostgreSQL'],
)
