import fc from 'fast-check'
import Fastify from 'fastify'
import type { Test } from 'tap'
import { filterQuery } from '../../plugins/repository/filter-query.ts'
import { Repository } from '../../plugins/repository/repository.ts'
import { type Db, sqlAssist } from '../../src/index.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'
import { Author, Team } from './filter-query-entities.ts'

// Whatever stands in a query string: 200 or 400, and no SQL but that of the declared filters.

const SEED = Number(process.env.FUZZ_SEED ?? 20_260_131)
/** Asked for in any case, so that what is seen can be compared with what there is. */
const CERTAIN = [
  'ids=[]',
  ...['name', 'team.title', 'createdAt'].flatMap(name => [
    `orderBy=${name}&sortOrder=asc`,
    `orderBy=${name}&sortOrder=desc`,
  ]),
]
const CODES = ['SQLA_ERR_INVALID_FILTER', 'SQLA_ERR_UNKNOWN_FIELD', 'FST_ERR_VALIDATION']
const ROUTES = ['validated', 'unvalidated', 'nested'] as const
/** Requests at a time. */
const AT_ONCE = 8

const filters = filterQuery(Author, {
  ids: true,
  createdAt: true,
  updatedAt: 'changed',
  pagination: { pageSize: 5 },
  search: ['name', 'bio', 'team.title'],
  orderBy: ['name', 'team.title', 'createdAt'],
  in: [
    'name',
    'status',
    'level',
    'visits',
    'counted',
    'score',
    'price',
    'key',
    'born',
    'wakes',
    'changed',
    'team',
  ],
  notIn: ['status', 'key', 'team.title'],
  booleans: ['active'],
  choices: { size: true },
})

/** Values that are right for some parameter; each is tried with every other, too. */
const GOOD = {
  number: [
    '0',
    '1',
    '2',
    '3',
    '-1',
    '2147483647',
    '-2147483648',
    '4294967295',
    '32767',
    '-32768',
    '1e2',
    '0.5',
  ],
  bigint: ['9223372036854775807', '-9223372036854775808', '9007199254740991', '-9007199254740991', '1e308'],
  decimal: ['9999999999.99', '-0', '99999999999999999999999999999999999999.5', '1e-320'],
  uuid: ['00000000-0000-0000-0000-000000000000', 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'],
  dateTime: [
    '2026-01-31T12:00:00Z',
    '0001-01-02T00:00:00Z',
    '9999-12-30T23:59:59.999999Z',
    '2016-12-31T23:59:60Z',
    '2024-02-29t00:00:00.1+13:59',
    '2026-01-31 12:00:00-00:00',
  ],
  date: ['2026-01-31', '0001-01-01', '9999-12-31', '2024-02-29'],
  time: ['00:00', '23:59:59.999999', '12:30:00'],
  word: [
    'true',
    'false',
    'asc',
    'desc',
    'open',
    'waiting',
    'closed',
    'name',
    'team.title',
    'createdAt',
    'red',
  ],
} as const

const BAD = [
  '',
  ' ',
  'null',
  'undefined',
  'NaN',
  'Infinity',
  '-Infinity',
  '[]',
  '{}',
  '{"$ne":null}',
  '{"$gt":""}',
  '["1","2"]',
  '[{"$like":"%"}]',
  '$ne',
  '0x10',
  '1_000',
  '+1',
  '١٢٣',
  '01',
  '1,2',
  '2147483648',
  '4294967296',
  '9223372036854775808',
  '-9223372036854775809',
  '9007199254740993',
  '1e309',
  '1e99999',
  '0000-01-01T00:00:00Z',
  '0001-01-01T00:00:00+14:00',
  '9999-12-31T23:59:59-12:00',
  '2026-02-30T00:00:00Z',
  '2026-01-31T24:00:00Z',
  '2026-01-31T12:00:00+12:75',
  '+010000-01-01T00:00:00Z',
  '2026-02-29',
  '0000-01-01',
  '24:00',
  'urn:uuid:00000000-0000-0000-0000-000000000000',
  '{00000000-0000-0000-0000-000000000000}',
  'id',
  'secret',
  'team',
  'name; drop table author',
  'name asc, (select 1)',
  '__proto__',
  'constructor',
  "' or 1=1 --",
  "\\' or 1=1 -- ",
  "'; drop table author; --",
  '") or 1=1 --',
  '` or 1=1 #',
  '$1',
  '?',
  '??',
  ':name',
  ':name:',
  '[::alias::]',
  '%',
  '_',
  '\\',
  '\\\\',
  '%\\',
  '\0',
  'a\0b',
  '\u{1F600}'.repeat(130),
  '\u{10FFFF}',
  'ß İ ı ſ K',
  '[!a]*?',
  'x'.repeat(5_000),
  "'".repeat(255),
  '%'.repeat(255),
]

const ODD_NAMES = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'ids[]',
  'ids[$ne]',
  'statusIn[0]',
  'search',
  'limit',
  'where',
  'constructor[prototype][x]',
  '',
  'createdAt',
  '$where',
]

/** A parser that makes of a query string whatever JSON can say, as some applications have. */
function nested(query: object): unknown {
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => [name.replace(/\[.*/s, ''), parsed(value)]),
  )
}

function parsed(value: unknown): unknown {
  try {
    return Array.isArray(value) ? value.map(parsed) : JSON.parse(value as string)
  } catch {
    return value
  }
}

const encoded = (value: string) => encodeURIComponent(value.toWellFormed())

function everyValueOfEachParameter(): string[] {
  const values = [...Object.values(GOOD).flat(), ...BAD]
  return Object.keys(filters.querystring.properties).flatMap(name =>
    values.map(value => `${name}=${encoded(value)}`),
  )
}

function queryStrings(): fc.Arbitrary<string> {
  const { properties } = filters.querystring
  const good = Object.values(GOOD).flat()
  const anyValue = fc.oneof(
    { arbitrary: fc.constantFrom(...good), weight: 2 },
    { arbitrary: fc.constantFrom(...BAD), weight: 3 },
    { arbitrary: fc.string({ unit: 'binary', maxLength: 40 }), weight: 1 },
    { arbitrary: fc.double().map(String), weight: 1 },
    { arbitrary: fc.bigInt().map(String), weight: 1 },
    { arbitrary: fc.date({ noInvalidDate: true }).map(date => date.toISOString()), weight: 1 },
    { arbitrary: fc.uuid(), weight: 1 },
    { arbitrary: fc.json(), weight: 1 },
  )
  const pair = (name: string, values: fc.Arbitrary<string>) =>
    values.map(value => `${encoded(name)}=${encoded(value)}`)
  const texts = fc.oneof(
    fc.constantFrom(...BAD.filter(text => text.length < 200)),
    fc.string({ unit: 'binary' }),
  )
  const right = Object.entries(properties).map(([name, schema]) => {
    const { type, enum: choices, format, pattern } = 'items' in schema ? schema.items : schema
    const values = (): readonly string[] => {
      if (choices) return choices.map(String)
      if (format !== undefined)
        return GOOD[({ 'date-time': 'dateTime', date: 'date', uuid: 'uuid' } as const)[format]]
      if (type === 'boolean') return ['true', 'false']
      if (type === 'string' && pattern === undefined) return []
      if (pattern?.includes(':')) return GOOD.time
      return type === 'number' || pattern?.includes('.') ? GOOD.decimal : ['1', '2', '3', '32767']
    }
    return pair(name, values().length === 0 ? texts : fc.constantFrom(...values()))
  })
  const wrong = fc
    .tuple(fc.constantFrom(...Object.keys(properties), ...ODD_NAMES), anyValue)
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
  const junk = fc.oneof(
    fc.constantFrom(
      '%',
      '%zz',
      '%00',
      '%E0%A4%A',
      '&&&',
      '===',
      'ids',
      'ids&ids',
      'ids=%',
      'nameIn=%ff%fe',
      'a;b=c',
      '+',
    ),
    fc.string({ unit: 'binary-ascii', maxLength: 30 }).map(text => text.replaceAll(/[\s#]/g, '')),
    fc.constantFrom('ids', 'statusIn', 'keyIn').map(name => `${name}=1&`.repeat(101)),
  )
  const some = <V>(arbitrary: fc.Arbitrary<V>, maxLength: number) => fc.array(arbitrary, { maxLength })
  return fc.oneof(
    { arbitrary: some(fc.oneof(...right), 6).map(pairs => pairs.join('&')), weight: 5 },
    { arbitrary: some(fc.oneof(...right, wrong, wrong), 4).map(pairs => pairs.join('&')), weight: 4 },
    { arbitrary: some(fc.oneof(junk, wrong), 4).map(pairs => pairs.join('&')), weight: 2 },
  )
}

/** String literals as each database reads them, which is not how the driver writes them. */
const LITERALS: Record<TestBackend['dialect'], RegExp> = {
  postgresql: /\bE'(?:[^'\\]|''|\\[\s\S])*'|'(?:[^']|'')*'/g,
  mysql: /'(?:[^'\\]|''|\\[\s\S])*'/g,
  sqlite: /'(?:[^']|'')*'/g,
}

/** A statement without its values, with the same quotes and alias on every database. */
function shapeOf(dialect: TestBackend['dialect'], sql: string): string {
  return sql
    .replaceAll(LITERALS[dialect], '?')
    .replaceAll(/\b1 = 0\b/g, 'never')
    .replaceAll(/(?<![\w"`.])-?\d+(\.\d+)?(e[+-]?\d+)?(?![\w"`.])|\b(true|false)\b/gi, '?')
    .replaceAll('`', '"')
    .replaceAll(/"[ae]0"/g, '"a"')
    .replaceAll(/ {2,}/g, ' ')
    .replaceAll('( ?', '(?')
    .replaceAll(/in \(\?(, \?)*\)/g, 'in (?)')
}

const SEARCHES: Record<TestBackend['dialect'], readonly ((column: string) => string)[]> = {
  postgresql: [column => `${column} like ?`, column => `${column} ilike ?`],
  mysql: [
    column => `${column} like convert(? using utf8mb4) collate utf8mb4_bin escape ?`,
    column =>
      `lower(convert(${column} using utf8mb4)) collate utf8mb4_bin like lower(convert(? using utf8mb4)) escape ?`,
  ],
  sqlite: [column => `${column} glob ?`],
}

const IN_COLUMNS =
  'id name status level visits counted score price key born wakes changed team_id size'.split(' ')

function conditionsOf(dialect: TestBackend['dialect']): string[] {
  const searched = ['"a"."name"', '"a"."bio"', '"t1"."title"']
  return [
    ...IN_COLUMNS.map(column => `"a"."${column}" in (?)`),
    ...['status', 'key'].map(column => `"a"."${column}" not in (?)`),
    '"t1"."title" not in (?)',
    ...['created_at', 'changed'].flatMap(column => [`"a"."${column}" < ?`, `"a"."${column}" > ?`]),
    '"a"."active" = ?',
    ...SEARCHES[dialect].map(search => `(${searched.map(search).join(' or ')})`),
    // An empty list, which only /nested can be sent.
    'never',
  ].sort()
}

const ORDERS = ['"a"."name"', '"t1"."title"', '"a"."created_at"']
  .flatMap(column => [`${column} asc, "a"."id" asc`, `${column} desc, "a"."id" asc`])
  .sort()

const STATEMENT =
  /^select (.+?) from "author" as "a"( left join "team" as "t1" on "a"."team_id" = "t1"."id")?(?: where (.+?))?(?: order by ([^()?]+?))?( limit \?( offset \?)?)?$/

/** How many random query strings are sent on PostgreSQL, and on each of the others, which are for what differs. */
export async function fuzz(
  t: Test,
  runs: { readonly postgresql: number; readonly others: number },
): Promise<void> {
  await onEveryBackend(t, (t, backend) =>
    send(t, backend, backend.name === 'PostgreSQL' ? runs.postgresql : runs.others),
  )
}

function send(t: Test, backend: TestBackend, runs: number): void {
  t.test(`${runs} random query strings, and every odd value of every parameter`, async t => {
    const statements = new Set<string>()
    const { app, record } = await application(t, backend, statements)
    const random = fc.sample(queryStrings(), { numRuns: runs, seed: SEED })
    const urls = [
      ...CERTAIN.flatMap(query => ROUTES.map(route => `/${route}?${query}`)),
      ...everyValueOfEachParameter().map(query => `/unvalidated?${query}`),
      ...random.map((query, index) => `/${ROUTES[index % ROUTES.length]}?${query}`),
    ]
    const counts = new Map<string, number>()
    const wrong: unknown[] = []
    record(true)
    const ask = async (url: string) => {
      const { statusCode, body } = await app.inject(url)
      const answer = `${/\w+/.exec(url)} ${statusCode}`
      counts.set(answer, (counts.get(answer) ?? 0) + 1)
      const fine = statusCode === 200 || (statusCode === 400 && CODES.includes(JSON.parse(body).code))
      if (!fine) wrong.push({ url, statusCode, body })
    }
    for (let at = 0; at < urls.length; at += AT_ONCE) {
      await Promise.all(urls.slice(at, at + AT_ONCE).map(ask))
    }
    record(false)

    t.same(wrong, [], `nothing but 200 and 400 (FUZZ_SEED=${SEED})`)
    for (const route of ROUTES) {
      for (const status of [200, 400]) {
        const count = counts.get(`${route} ${status}`) ?? 0
        t.ok(count > random.length / 50, `${route}: ${count} answers are ${status}`)
      }
    }
    const heads = new Set<string>()
    const conditions = new Set<string>()
    const orders = new Set<string>()
    for (const sql of statements) {
      const [, head, , where, order] = STATEMENT.exec(sql) ?? []
      if (head === undefined) t.fail('a statement of another form', { sql })
      else heads.add(head)
      if (order !== undefined) orders.add(order)
      for (const one of where?.split(' and ') ?? []) conditions.add(one)
    }
    t.same(
      [...conditions].sort(),
      conditionsOf(backend.dialect),
      'each condition was asked for, and no other',
    )
    t.same([...orders].sort(), ORDERS, 'each order was asked for, and no other')
    t.ok(heads.size <= 3, 'what is selected does not depend on the query string', { heads })
  })
}

async function application(t: Test, backend: TestBackend, statements: Set<string>) {
  const setUp = await backend.orm(t, { entities: [Author, Team] })
  await setUp.schema.create()
  const em = setUp.em.fork()
  const teams = ['red', 'blue'].map(title => em.create(Team, { title }))
  for (let index = 0; index < 20; index++) {
    em.create(Author, {
      name: `author ${index}`,
      createdAt: new Date(Date.UTC(2026, 0, index + 1)),
      active: index % 2 === 0,
      level: index,
      team: teams[index % 3] ?? null,
    })
  }
  await em.flush()

  let recording = false
  const orm = backend.options({
    entities: [Author, Team],
    debug: ['query'],
    loggerFactory: () =>
      ({
        log() {},
        warn() {},
        error() {},
        setDebugMode() {},
        isEnabled: (namespace: string) => namespace === 'query',
        logQuery({ query, formatted }: { query: string; formatted?: string }) {
          if (recording) statements.add(shapeOf(backend.dialect, formatted ?? query))
        },
      }) as never,
  })
  const app = Fastify({ ajv: { customOptions: { strict: true } } })
  t.teardown(() => app.close())
  await app.register(sqlAssist, { engines: { reader: { orm, readOnly: true } } })
  const authors = (db: Db) => new Repository(Author, db.get('reader'))
  app.get('/validated', { schema: { querystring: filters.querystring } }, async request => {
    const [, total] = await authors(request.db).listAndCount(...filters.parse(request.query))
    return { total }
  })
  app.get('/unvalidated', async request => authors(request.db).list(...filters.parse(request.query)))
  app.get('/nested', async request =>
    authors(request.db).list(...filters.parse(nested(request.query as object))),
  )
  await app.ready()
  return {
    app,
    record: (on: boolean) => {
      recording = on
    },
  }
}
