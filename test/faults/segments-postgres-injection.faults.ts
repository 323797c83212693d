import t from 'tap'
import { Binder, type ParameterStyle } from '../../plugins/segments/binder.ts'
import { translateSegment } from '../../plugins/segments/translate.ts'
import { HOSTILE_IDENTITIES, HOSTILE_SEGMENTS } from '../segments/hostile-texts.ts'
import {
  ENVIRONMENT,
  evaluated,
  onEveryPostgres,
  type Postgres,
  store,
  verdicts,
} from '../segments/identities-table.ts'

type Mode = 'inlined' | Exclude<ParameterStyle, 'clickhouse'>

const AT_ONCE = 100

await onEveryPostgres(t, async (t, postgres) => {
  const { client } = postgres
  await client.query(`create table canary (sings boolean); insert into canary values (true)`)
  await store(client, HOSTILE_IDENTITIES)
  const before = await contents(postgres)

  for (const mode of ['inlined', 'dollar', 'question', 'pyformat'] as const) {
    for (const standard of ['on', 'off']) {
      t.test(`hostile texts, ${mode}, standard_conforming_strings ${standard}`, async t => {
        await client.query(`set standard_conforming_strings = ${standard}; set escape_string_warning = off`)
        const wrong: string[] = []
        let asked = 0
        for (let from = 0; from < HOSTILE_SEGMENTS.length; from += AT_ONCE) {
          const segments = HOSTILE_SEGMENTS.slice(from, from + AT_ONCE)
          const found = await ask(postgres, mode, segments)
          for (const [row, identity] of HOSTILE_IDENTITIES.entries()) {
            const expected = evaluated(identity, segments)
            for (const [index, segment] of segments.entries()) {
              const got = found[index]?.[row]
              if (got === undefined) continue
              asked++
              if (got !== expected[index]) wrong.push(JSON.stringify({ segment, identity, got }))
            }
          }
        }
        t.same(wrong.slice(0, 5), [])
        t.ok(asked > (HOSTILE_SEGMENTS.length * HOSTILE_IDENTITIES.length) / 2, `${asked} pairs`)
        await client.query('reset all')
        t.same(await contents(postgres), before, 'nothing has changed')
      })
    }
  }
})

/** For each segment the verdicts of the rows; undefined where there is no exact SQL. */
async function ask(
  { client, dialect }: Postgres,
  mode: Mode,
  segments: typeof HOSTILE_SEGMENTS,
): Promise<(string | undefined)[]> {
  const binder = mode === 'inlined' ? undefined : new Binder(mode)
  const conditions = segments.map(
    segment =>
      translateSegment(segment, {
        evaluationContext: { environment: ENVIRONMENT },
        dialect,
        ...(binder && { binder }),
      })?.sql,
  )
  const present = conditions.filter(condition => condition !== undefined)
  const driven = driver(mode, present.join('\0'))
  const rows = await verdicts(client, driven.split('\0'), Object.values(binder?.params ?? {}))
  let column = 0
  return conditions.map(condition => {
    if (condition === undefined) return undefined
    const index = column++
    return rows.map(row => row[index]).join('')
  })
}

/** What the simplest of drivers does with its style: it does not look for quotes. */
function driver(mode: Mode, sql: string): string {
  let count = 0
  if (mode === 'question') return sql.replaceAll('?', () => `$${++count}`)
  if (mode !== 'pyformat') return sql
  return sql.replace(/%(?:\(p(\d+)\)s|%)|%/g, (found, index) => {
    if (found === '%') throw new Error('a single % that begins no parameter')
    return found === '%%' ? '%' : `$${Number(index) + 1}`
  })
}

async function contents({ client }: Postgres): Promise<unknown> {
  const { rows } = await client.query(
    `select (select json_agg(c) from canary c) as canary,
            (select md5(json_agg(i order by id)::text) from identities i) as identities,
            (select json_agg(oid::bigint order by oid) from pg_class where relnamespace = 'public'::regnamespace) as tables`,
  )
  return rows
}
