import fastifySwagger from '@fastify/swagger'
import { defineEntity, EntitySchema, p, Type } from '@mikro-orm/core'
import Fastify from 'fastify'
import t from 'tap'
import type { FieldsOf } from '../../plugins/repository/fields.ts'
import { filterQuery } from '../../plugins/repository/filter-query.ts'
import {
  beforeAfter,
  collection,
  comparison,
  type Filter,
  limitOffset,
  notInCollection,
  orderBy,
  search,
} from '../../plugins/repository/filters.ts'
import { compileQuery } from '../../plugins/repository/query.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'
import { Author, Team } from './filter-query-entities.ts'

const rich = filterQuery(Author, {
  ids: true,
  createdAt: true,
  updatedAt: 'born',
  pagination: { pageSize: 10, maxPageSize: 50 },
  search: { fields: ['name', 'team.title'], ignoreCase: true },
  orderBy: { fields: ['name', 'createdAt'], default: 'createdAt', sortOrder: 'desc' },
  in: ['status', 'level', 'visits', 'team', 'team.title'],
  notIn: ['status'],
  booleans: ['active'],
  choices: { size: true, level: [1, 2] },
  maxItems: 3,
})

/** What `rich` always adds. */
const ALWAYS = [orderBy('createdAt', 'desc'), limitOffset(10)]

const RICH = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ids: {
      type: 'array',
      maxItems: 3,
      description: 'id is one of these values.',
      items: { type: 'integer', minimum: -2_147_483_648, maximum: 4_294_967_295 },
    },
    createdBefore: { type: 'string', format: 'date-time', description: 'createdAt is before this moment.' },
    createdAfter: { type: 'string', format: 'date-time', description: 'createdAt is after this moment.' },
    updatedBefore: { type: 'string', format: 'date', description: 'born is before this day.' },
    updatedAfter: { type: 'string', format: 'date', description: 'born is after this day.' },
    statusIn: {
      type: 'array',
      maxItems: 3,
      description: 'status is one of these values.',
      items: { type: 'string', enum: ['open', 'waiting', 'closed'] },
    },
    levelIn: {
      type: 'array',
      maxItems: 3,
      description: 'level is one of these values.',
      items: { type: 'integer', minimum: -32_768, maximum: 32_767 },
    },
    visitsIn: {
      type: 'array',
      maxItems: 3,
      description: 'visits is one of these values.',
      items: { type: 'string', pattern: '^-?[0-9]{1,19}$' },
    },
    teamIn: {
      type: 'array',
      maxItems: 3,
      description: 'team is one of these values.',
      items: { type: 'integer', minimum: -2_147_483_648, maximum: 4_294_967_295 },
    },
    teamTitleIn: {
      type: 'array',
      maxItems: 3,
      description: 'team.title is one of these values.',
      items: { type: 'string', maxLength: 255 },
    },
    statusNotIn: {
      type: 'array',
      maxItems: 3,
      description: 'status is none of these values.',
      items: { type: 'string', enum: ['open', 'waiting', 'closed'] },
    },
    active: { type: 'boolean', description: 'active is true, or is false.' },
    size: {
      type: 'array',
      maxItems: 3,
      description: 'size is one of these values.',
      items: { type: 'integer', enum: [1, 2, 3] },
    },
    level: {
      type: 'array',
      maxItems: 3,
      description: 'level is one of these values.',
      items: { type: 'integer', enum: [1, 2] },
    },
    searchString: {
      type: 'string',
      maxLength: 255,
      description: 'One of these contains this text: name, team.title.',
    },
    searchIgnoreCase: {
      type: 'boolean',
      default: true,
      description: 'Whether a and A are the same in searchString.',
    },
    orderBy: {
      type: 'string',
      enum: ['name', 'createdAt'],
      default: 'createdAt',
      description: 'The field that the rows are ordered by.',
    },
    sortOrder: {
      type: 'string',
      enum: ['asc', 'desc'],
      default: 'desc',
      description: 'Ascending or descending.',
    },
    currentPage: {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000_000,
      default: 1,
      description: 'The page, from 1.',
    },
    pageSize: {
      type: 'integer',
      minimum: 1,
      maximum: 50,
      default: 10,
      description: 'How many rows a page has at most.',
    },
  },
}

/** What an error says, and its code. */
function refusal(run: () => unknown): string {
  try {
    run()
    return 'nothing was refused'
  } catch (error) {
    const { code, statusCode, message } = error as { code: string; statusCode: number; message: string }
    return `${code} ${statusCode}: ${message}`
  }
}

t.test('the schema describes what was declared, and nothing else', async t => {
  t.strictSame(rich.querystring, RICH)
})

t.test('each parameter becomes its filter', async t => {
  const cases: [query: object, ...filters: Filter<FieldsOf<Author>>[]][] = [
    [{}],
    [{ ids: ['1', 2] }, collection('id', [1, 2])],
    [{ ids: '4294967295' }, collection('id', [4_294_967_295])],
    [{ ids: [] }, collection('id', [])],
    [
      { createdBefore: '2026-01-31T12:00:00+02:00', createdAfter: '2026-01-01t00:00:00.5z' },
      beforeAfter('createdAt', {
        before: new Date('2026-01-31T10:00:00Z'),
        after: new Date('2026-01-01T00:00:00.500Z'),
      }),
    ],
    [
      { createdAfter: '2016-12-31T23:59:60Z' },
      beforeAfter('createdAt', { after: new Date('2017-01-01T00:00:00Z') }),
    ],
    [{ updatedBefore: '2024-02-29' }, beforeAfter('born', { before: '2024-02-29' })],
    [{ statusIn: ['open', 'closed'] }, collection('status', ['open', 'closed'])],
    [{ statusIn: 'open' }, collection('status', ['open'])],
    [{ statusNotIn: 'open' }, notInCollection('status', ['open'])],
    [{ levelIn: ['-32768', '32767'] }, collection('level', [-32_768, 32_767])],
    [
      { visitsIn: ['9223372036854775807', '-9223372036854775808', 7] },
      collection('visits', [2n ** 63n - 1n, -(2n ** 63n), 7n]),
    ],
    [{ teamIn: '7' }, collection('team', [7])],
    [{ teamTitleIn: ['', "'; --", '1,2'] }, collection('team.title', ['', "'; --", '1,2'])],
    [{ active: 'true' }, comparison('active', 'eq', true)],
    [{ active: [false] }, comparison('active', 'eq', false)],
    [{ size: ['1', '3'] }, collection('size', [1, 3])],
    [{ level: '2' }, collection('level', [2])],
    [{ searchString: '50%' }, search(['name', 'team.title'], '50%', { ignoreCase: true })],
    [
      { searchString: 'x', searchIgnoreCase: 'false' },
      search(['name', 'team.title'], 'x', { ignoreCase: false }),
    ],
    [{ searchString: '' }],
    [{ ids: null, active: null, createdBefore: null, searchString: null, pageSize: null }],
    [{ unknown: '1', __proto__: { ids: ['1'] }, constructor: 'x' }],
  ]
  for (const [query, ...filters] of cases) {
    const name = JSON.stringify(query, (_key, value) => (typeof value === 'bigint' ? String(value) : value))
    t.strictSame(rich.parse(query), [...filters, ...ALWAYS], name)
  }
  t.strictSame(rich.parse(undefined), ALWAYS)
  t.strictSame(rich.parse(Object.assign(Object.create(null), { ids: '1' })), [
    collection('id', [1]),
    ...ALWAYS,
  ])
  t.strictSame(rich.parse({ currentPage: '3', pageSize: '50' }), [ALWAYS[0], limitOffset(50, 100)])
  t.strictSame(rich.parse({ orderBy: 'name' }), [orderBy('name', 'desc'), ALWAYS[1]])
  t.strictSame(rich.parse({ orderBy: 'name', sortOrder: 'asc' }), [orderBy('name'), ALWAYS[1]])
})

t.test('the last page of the largest size is a number that can be asked for', async t => {
  const { parse } = filterQuery(Author, { pagination: { maxPageSize: 10_000 } })
  const [page] = parse({ currentPage: 1_000_000_000, pageSize: 10_000 })
  t.strictSame(page, limitOffset(10_000, 9_999_999_990_000))
})

t.test('what is not right is refused with the name of the parameter, whatever it is', async t => {
  const dateTime =
    "'createdBefore' must be a date and time with an offset (RFC 3339), such as 2026-01-31T12:00:00Z, of the years 1 " +
    'to 9999; the + of an offset is written %2B'
  const ids = "every value of 'ids' must be a whole number from -2147483648 to 4294967295"
  const visits = "every value of 'visitsIn' must be a whole number of 64 bits"
  const status = "every value of 'statusIn' must be one of open, waiting, closed"
  const page = "'pageSize' must be a whole number from 1 to 50"
  const current = "'currentPage' must be a whole number from 1 to 1000000000"
  const text = "'searchString' must be a text of at most 255 characters, without U+0000"
  const cases: [query: unknown, message: string][] = [
    [{ ids: 'x' }, ids],
    [{ ids: '' }, ids],
    [{ ids: '1,2' }, ids],
    [{ ids: '1.5' }, ids],
    [{ ids: '0x1' }, ids],
    [{ ids: '4294967296' }, ids],
    [{ ids: -2_147_483_649 }, ids],
    [{ ids: [1, null] }, ids],
    [{ ids: [1, [2]] }, ids],
    [{ ids: { $ne: null } }, ids],
    [{ ids: [{ $gt: 0 }] }, ids],
    [{ ids: true }, ids],
    [{ ids: [1, 2, 3, 4] }, "'ids' takes at most 3 values"],
    [{ createdBefore: '' }, dateTime],
    [{ createdBefore: '2026-01-31' }, dateTime],
    [{ createdBefore: '2026-01-31T12:00:00' }, dateTime],
    [{ createdBefore: '2026-01-31T12:00:00 02:00' }, dateTime],
    [{ createdBefore: '2026-02-30T12:00:00Z' }, dateTime],
    [{ createdBefore: '2026-01-31T24:00:00Z' }, dateTime],
    [{ createdBefore: '2026-01-31T12:00:60Z' }, dateTime],
    [{ createdBefore: '2026-01-31T12:00:00+24:00' }, dateTime],
    [{ createdBefore: '2026-01-31T12:00:00+01:60' }, dateTime],
    [{ createdBefore: '0000-12-31T00:00:00Z' }, dateTime],
    [{ createdBefore: '0001-01-01T00:00:00+14:00' }, dateTime],
    [{ createdBefore: '9999-12-31T23:59:59-12:00' }, dateTime],
    [{ createdBefore: 0 }, dateTime],
    [{ createdBefore: new Date(Number.NaN) }, dateTime],
    [
      { createdBefore: ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00Z'] },
      "'createdBefore' must be given once",
    ],
    [
      { updatedAfter: '2026-02-29' },
      "'updatedAfter' must be a date such as 2026-01-31, of the years 1 to 9999",
    ],
    [
      { updatedAfter: '0000-01-01' },
      "'updatedAfter' must be a date such as 2026-01-31, of the years 1 to 9999",
    ],
    [{ statusIn: '' }, status],
    [{ statusIn: 'opne' }, status],
    [{ statusIn: ['open', 'toString'] }, status],
    [{ statusIn: [['open']] }, status],
    [{ statusNotIn: 'x' }, "every value of 'statusNotIn' must be one of open, waiting, closed"],
    [{ levelIn: '32768' }, "every value of 'levelIn' must be a whole number from -32768 to 32767"],
    [{ visitsIn: '9223372036854775808' }, visits],
    [{ visitsIn: '-9223372036854775809' }, visits],
    [{ visitsIn: 2 ** 53 }, visits],
    [
      { teamTitleIn: 'x'.repeat(256) },
      "every value of 'teamTitleIn' must be a text of at most 255 characters, without U+0000",
    ],
    [
      { teamTitleIn: 'a\0b' },
      "every value of 'teamTitleIn' must be a text of at most 255 characters, without U+0000",
    ],
    [{ active: '1' }, "'active' must be true or false"],
    [{ active: [] }, "'active' must be given once"],
    [{ size: '4' }, "every value of 'size' must be one of 1, 2, 3"],
    [{ level: '3' }, "every value of 'level' must be one of 1, 2"],
    [{ searchString: 'x'.repeat(256) }, text],
    [{ searchString: '\0' }, text],
    [{ searchString: { $like: '%' } }, text],
    [{ searchIgnoreCase: 'yes' }, "'searchIgnoreCase' must be true or false"],
    [{ orderBy: { name: 'asc' } }, "'orderBy' must be one of name, createdAt"],
    [{ sortOrder: 'ASC' }, "'sortOrder' must be one of asc, desc"],
    [{ currentPage: '0' }, current],
    [{ currentPage: '1000000001' }, current],
    [{ currentPage: 1.5 }, current],
    [{ pageSize: '51' }, page],
    [{ pageSize: '-1' }, page],
    [{ pageSize: Number.POSITIVE_INFINITY }, page],
    [[], 'the query must be an object of names and values'],
    ['ids=1', 'the query must be an object of names and values'],
    [null, 'the query must be an object of names and values'],
  ]
  for (const [query, message] of cases) {
    t.equal(
      refusal(() => rich.parse(query)),
      `SQLA_ERR_INVALID_FILTER 400: Invalid filter: ${message}`,
      JSON.stringify(query)?.slice(0, 80),
    )
  }
  t.equal(
    refusal(() => rich.parse({ orderBy: 'secret' })),
    "SQLA_ERR_UNKNOWN_FIELD 400: Author has no field 'secret' to order by; there are: name, createdAt",
  )
  t.match(
    refusal(() => rich.parse({ orderBy: 'x'.repeat(1000) })),
    `no field '${'x'.repeat(60)}…' to order by`,
  )
  t.equal(rich.parse({ searchString: '😀'.repeat(255) }).length, 3, 'characters are counted, not code units')
})

t.test('values of every type of column', async t => {
  const { parse, querystring } = filterQuery(Author, {
    in: ['score', 'counted', 'price', 'key', 'born', 'wakes', 'changed', 'bio'],
  })
  const read = (name: string, value: unknown) =>
    (parse({ [name]: value })[0] as { value?: unknown[] })?.value?.[0]
  t.equal(read('scoreIn', '-1.5e3'), -1500)
  t.equal(read('scoreIn', 0.5), 0.5)
  t.equal(read('countedIn', '9007199254740991'), Number.MAX_SAFE_INTEGER)
  t.equal(read('priceIn', '12.50'), '12.50', 'a decimal stays exact')
  t.equal(read('priceIn', 12.5), '12.5')
  t.equal(
    read('keyIn', '0199E8F3-5C1E-7A41-9C02-7D1C5A3E9B10'),
    '0199e8f3-5c1e-7a41-9c02-7d1c5a3e9b10',
    'a UUID as it is stored where it is a text',
  )
  t.equal(read('bornIn', '2024-02-29'), '2024-02-29')
  t.equal(read('wakesIn', '07:30'), '07:30:00')
  t.strictSame(read('changedIn', '2026-01-31T12:00:00Z'), new Date('2026-01-31T12:00:00Z'))
  t.equal(read('bioIn', 'x'.repeat(4096))?.toString().length, 4096)
  for (const [name, value] of [
    ['scoreIn', '1e309'],
    ['scoreIn', 'NaN'],
    ['countedIn', '9007199254740992'],
    ['priceIn', '1e5'],
    ['priceIn', '1'.repeat(39)],
    ['keyIn', 'urn:uuid:0199e8f3-5c1e-7a41-9c02-7d1c5a3e9b10'],
    ['keyIn', '0199e8f35c1e7a419c027d1c5a3e9b10'],
    ['wakesIn', '24:00'],
    ['bioIn', 'x'.repeat(4097)],
  ] as const) {
    t.match(
      refusal(() => parse({ [name]: value })),
      `SQLA_ERR_INVALID_FILTER 400: Invalid filter: every value of '${name}'`,
    )
  }
  t.strictSame(
    Object.values(querystring.properties).map(schema => ('items' in schema ? schema.items : undefined)),
    [
      { type: 'number' },
      { type: 'integer', minimum: -Number.MAX_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
      { type: 'string', pattern: '^-?[0-9]{1,38}([.][0-9]{1,38})?$' },
      { type: 'string', format: 'uuid', maxLength: 36 },
      { type: 'string', format: 'date' },
      { type: 'string', pattern: '^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?$' },
      { type: 'string', format: 'date-time' },
      { type: 'string', maxLength: 4096 },
    ],
  )
})

class Money extends Type<string, string> {}

t.test('columns as they can be declared', async t => {
  const Base = defineEntity({
    name: 'Base',
    abstract: true,
    properties: { id: p.bigint('string').primary() },
  })
  const Address = defineEntity({
    name: 'Address',
    embeddable: true,
    properties: { city: p.string().length(9) },
  })
  const Thing = defineEntity({
    name: 'Thing',
    extends: Base,
    properties: {
      small: p.integer().columnType('smallint'),
      wide: p.integer().columnType('int8'),
      unsigned: p.integer().unsigned(),
      code: p.string().columnType('varchar(7)'),
      endless: p.string().length(-1),
      ref: p.string().columnType('uuid'),
      named: p.type('varchar(5)'),
      rated: p.decimal('number'),
      home: () => p.embedded(Address),
      money: p.type(Money),
      inet: p.string().columnType('inet'),
      blob: p.blob(),
      list: p.array(),
      data: p.json(),
      papers: () => p.embedded(Address).object(),
    },
  })
  const fields = ['id', 'small', 'wide', 'unsigned', 'code', 'endless', 'ref', 'named', 'rated', 'home.city']
  const { querystring } = filterQuery(Thing, { ids: true, in: fields } as never)
  t.strictSame(
    Object.entries(querystring.properties).map(([name, schema]) => [name, 'items' in schema && schema.items]),
    [
      ['ids', { type: 'string', pattern: '^-?[0-9]{1,19}$' }],
      ['idIn', { type: 'string', pattern: '^-?[0-9]{1,19}$' }],
      ['smallIn', { type: 'integer', minimum: -32_768, maximum: 32_767 }],
      ['wideIn', { type: 'integer', minimum: -Number.MAX_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }],
      ['unsignedIn', { type: 'integer', minimum: 0, maximum: 4_294_967_295 }],
      ['codeIn', { type: 'string', maxLength: 7 }],
      ['endlessIn', { type: 'string', maxLength: 4096 }],
      ['refIn', { type: 'string', format: 'uuid', maxLength: 36 }],
      ['namedIn', { type: 'string', maxLength: 5 }],
      ['ratedIn', { type: 'number' }],
      ['homeCityIn', { type: 'string', maxLength: 9 }],
    ],
  )
  t.strictSame(filterQuery(Thing, { ids: true }).parse({ ids: '7' }), [collection('id', ['7'])])

  const without = "SQLA_ERR_INVALID_OPTION 500: Invalid option: filterQuery: in has '"
  for (const name of ['money', 'inet', 'blob', 'list', 'data', 'home']) {
    t.equal(
      refusal(() => filterQuery(Thing, { in: [name] } as never)),
      `${without}${name}', whose type does not say which values it has; list them as choices`,
    )
  }
  t.match(
    refusal(() => filterQuery(Thing, { in: ['papers.city'] } as never)),
    'SQLA_ERR_UNKNOWN_FIELD 400',
  )
  for (const name of ['data', 'home']) {
    t.match(
      refusal(() => filterQuery(Thing, { orderBy: [name] } as never)),
      `orderBy has '${name}', which has no order`,
    )
  }
  for (const name of ['ref', 'rated', 'home', 'inet', 'data']) {
    t.match(
      refusal(() => filterQuery(Thing, { search: [name] } as never)),
      `search has '${name}', which is no text`,
    )
  }
  const chosen = filterQuery(Thing, { choices: { money: ['1.00 €'] } } as never)
  t.strictSame(chosen.parse({ money: '1.00 €' }), [collection('money', ['1.00 €'])], 'any type has choices')
  const numbered = filterQuery(Thing, { choices: { id: ['7'] } })
  t.strictSame(numbered.parse({ id: '7' }), [collection('id', ['7'])])
})

t.test('a declaration that cannot work is refused at once', async t => {
  const Pair = defineEntity({
    name: 'Pair',
    properties: { a: p.integer().primary(), b: p.integer().primary(), aIn: p.boolean() },
  })
  class Unknown {
    id?: number
  }
  const cases: [run: () => unknown, message: string][] = [
    [
      () => filterQuery(Team, { in: ['x'] } as never),
      "SQLA_ERR_UNKNOWN_FIELD 400: Team has no field 'x' to filter by; there are: id, title",
    ],
    [
      () => filterQuery(Author, { search: ['team.name'] } as never),
      "SQLA_ERR_UNKNOWN_FIELD 400: Author has no field 'team.name' to search in; there are: id, name, bio,",
    ],
    [
      () => filterQuery(Team, { orderBy: ['constructor'] } as never),
      "has no field 'constructor' to order by",
    ],
    [() => filterQuery(Team, { createdAt: true } as never), "has no field 'createdAt' to filter by"],
    [() => filterQuery(Pair, { ids: true }), 'ids cannot be true: the primary key is not one field'],
    [() => filterQuery(Pair, { in: ['a'], booleans: ['aIn'] }), "the config says the parameter 'aIn' twice"],
    [() => filterQuery(Author, { createdAt: 'level' } as never), "createdAt has 'level', which is no date"],
    [
      () => filterQuery(Author, { booleans: ['level'] } as never),
      "booleans has 'level', which is no boolean",
    ],
    [() => filterQuery(Author, { search: ['level'] } as never), "search has 'level', which is no text"],
    [() => filterQuery(Author, { search: [] }), 'search must be an array of names of fields'],
    [() => filterQuery(Author, { orderBy: ['friends'] }), "orderBy has 'friends', which has no order"],
    [
      () => filterQuery(Author, { orderBy: ['friends.name'] }),
      "orderBy has 'friends.name', which has no order",
    ],
    [() => filterQuery(Author, { orderBy: [] }), 'orderBy must be an array of names of fields'],
    [
      () => filterQuery(Author, { orderBy: { fields: ['name'], default: 'id' } }),
      'orderBy.default must be one of its fields',
    ],
    [
      () => filterQuery(Author, { orderBy: { fields: ['name'], sortOrder: 'up' } } as never),
      "orderBy.sortOrder must be 'asc' or 'desc'",
    ],
    [
      () => filterQuery(Author, { choices: { status: ['x'] } } as never),
      'choices.status must be true, or some of its values',
    ],
    [
      () => filterQuery(Author, { choices: { name: true } } as never),
      'choices.name must be a list of values',
    ],
    [
      () => filterQuery(Author, { choices: { level: [1, 40_000] } }),
      'choices.level must be a list of values',
    ],
    [() => filterQuery(Author, { choices: { name: [] } }), 'choices.name must be a list of values'],
    [
      () => filterQuery(Author, { choices: { level: [1, '2'] } } as never),
      'choices.level must be a list of values',
    ],
    [
      () => filterQuery(Author, { pagination: { pageSize: 101 } }),
      'pagination.pageSize must be a whole number from 1 to 100',
    ],
    [
      () => filterQuery(Author, { pagination: { maxPageSize: 10_001 } }),
      'pagination.maxPageSize must be a whole number from 1 to 10000',
    ],
    [
      () => filterQuery(Author, { pagination: { size: 1 } } as never),
      'size is none; there are: pageSize, maxPageSize',
    ],
    [() => filterQuery(Author, { maxItems: 0 }), 'maxItems must be a whole number from 1 to 1000'],
    [() => filterQuery(Author, { serach: ['name'] } as never), 'serach is none; there are: ids, createdAt'],
    [() => filterQuery(Author, { in: 'name' } as never), 'in must be an array of names of fields'],
    [() => filterQuery(Author, null as never), 'the config must be an object'],
    [
      () => filterQuery(Unknown, {}),
      'the entity of filterQuery must be what defineEntity returns, or a class that was given to its setClass',
    ],
  ]
  for (const [run, message] of cases) t.match(refusal(run), message)
})

t.test('a schema made before MikroORM is started is the one made after', async t => {
  const declared = new EntitySchema<{ id: number; name: string }>({
    name: 'Plain',
    properties: { id: { type: 'integer', primary: true }, name: { type: 'string', length: 12 } },
  })
  const config = { ids: true, in: ['name'], orderBy: ['id'], search: ['name'] } as const
  const before = filterQuery(declared, config).querystring
  const richBefore = JSON.stringify(RICH.properties.ids)
  const { MikroORM } = await import('@mikro-orm/sqlite')
  const orm = await MikroORM.init({ dbName: ':memory:', entities: [declared, Author, Team] })
  t.teardown(() => orm.close())
  t.strictSame(filterQuery(declared, config).querystring, before)
  const after = filterQuery(Author, { ids: true, maxItems: 3 }).querystring.properties.ids
  t.strictSame(after, JSON.parse(richBefore))
})

t.test('Fastify validates with it, in the strict mode of its validator too', async t => {
  const app = Fastify({ ajv: { customOptions: { strict: true } } })
  t.teardown(() => app.close())
  app.get('/', { schema: { querystring: rich.querystring } }, async ({ query }) => ({
    query,
    filters: rich.parse(query).length,
  }))
  const ask = async (query: string) => {
    const answer = await app.inject(`/?${query}`)
    return [answer.statusCode, answer.json()]
  }
  const defaults = {
    searchIgnoreCase: true,
    orderBy: 'createdAt',
    sortOrder: 'desc',
    currentPage: 1,
    pageSize: 10,
  }
  t.strictSame(await ask(''), [200, { query: defaults, filters: 2 }])
  t.strictSame(await ask('ids=1&ids=2&active=true&utm_source=x&visitsIn=9007199254740993'), [
    200,
    { query: { ...defaults, ids: [1, 2], active: true, visitsIn: ['9007199254740993'] }, filters: 5 },
  ])
  t.strictSame(await ask('createdBefore=2026-01-31T12:00:00%2B02:00&size=1'), [
    200,
    { query: { ...defaults, createdBefore: '2026-01-31T12:00:00+02:00', size: [1] }, filters: 4 },
  ])
  for (const query of [
    'pageSize=51',
    'statusIn=',
    'ids=x',
    'createdBefore=2026-01-31',
    'orderBy=id',
    'ids=1&'.repeat(4),
  ]) {
    const [status, body] = await ask(query)
    t.match({ status, ...body }, { status: 400, code: 'FST_ERR_VALIDATION' }, query)
  }
})

t.test('Swagger shows every parameter', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifySwagger, { openapi: { info: { title: 'Authors', version: '1' } } })
  app.get('/authors', { schema: { querystring: rich.querystring } }, async () => [])
  await app.ready()
  const parameters = (app.swagger() as { paths: Record<string, { get: { parameters: { name: string }[] } }> })
    .paths['/authors']?.get.parameters
  t.strictSame(
    parameters?.map(({ name }) => name),
    Object.keys(RICH.properties),
  )
  t.strictSame(
    parameters?.find(({ name }) => name === 'statusIn'),
    {
      name: 'statusIn',
      in: 'query',
      required: false,
      description: 'status is one of these values.',
      schema: { type: 'array', items: { type: 'string', enum: ['open', 'waiting', 'closed'] }, maxItems: 3 },
    },
  )
})

/** The statement for each query, from WHERE on, with PostgreSQL's quotes. */
const SQL: [query: object, where: string][] = [
  [{}, ''],
  [{ ids: ['1', '2'] }, `where "a"."id" in (1, 2)`],
  [{ statusIn: 'open', active: 'true' }, `where "a"."status" in ('open') and "a"."active" = true`],
  [{ statusNotIn: ['open', 'closed'] }, `where "a"."status" not in ('open', 'closed')`],
  [{ teamIn: '1' }, `where "a"."team_id" in (1)`],
  [{ updatedAfter: '2000-01-01' }, `where "a"."born" > '2000-01-01'`],
  [{ visitsIn: '9007199254740993' }, `where "a"."visits" in ('9007199254740993')`],
]

/** Which of the rows below answer. */
const ROWS: [query: object, names: string][] = [
  [{}, 'cleo bea ann'],
  [{ orderBy: 'name', sortOrder: 'asc' }, 'ann bea cleo'],
  [{ pageSize: '2', currentPage: '2' }, 'ann'],
  [{ createdAfter: '2026-01-01T00:00:00Z' }, 'cleo bea'],
  [{ createdBefore: '2026-01-02T01:00:00+01:00' }, 'ann'],
  [{ createdAfter: '2026-01-01T00:00:00.001Z', createdBefore: '2026-01-03T00:00:00Z' }, 'bea'],
  [{ updatedBefore: '2000-01-02' }, 'ann'],
  [{ statusIn: ['open', 'closed'] }, 'cleo ann'],
  [{ statusIn: [] }, ''],
  [{ statusNotIn: 'open' }, 'cleo bea'],
  [{ level: ['1', '2'] }, 'cleo bea'],
  [{ levelIn: '0' }, 'ann'],
  [{ visitsIn: '9007199254740993' }, 'bea'],
  [{ size: '3' }, 'cleo'],
  [{ active: 'false' }, 'bea'],
  [{ teamTitleIn: ["o'neill", 'none'] }, 'ann'],
  [{ searchString: 'A' }, 'bea ann'],
  [{ searchString: 'A', searchIgnoreCase: 'false' }, ''],
  [{ searchString: "o'n" }, 'ann'],
  [{ searchString: '%' }, ''],
  [{ ids: ['4294967295', '1'] }, 'ann'],
]

await onEveryBackend(t, (t, backend: TestBackend) => {
  t.test('filters are SQL, and find what they say', async t => {
    const orm = await backend.orm(t, { entities: [Author, Team] })
    await orm.schema.create()
    const em = orm.em.fork()
    const team = em.create(Team, { id: 1, title: "o'neill" })
    const row = { status: 'open', level: 0, active: true } as const
    const day = (date: number) => new Date(Date.UTC(2026, 0, date))
    em.create(Author, { ...row, id: 1, name: 'ann', createdAt: day(1), born: '2000-01-01', team })
    em.create(Author, {
      ...row,
      id: 2,
      name: 'bea',
      status: 'waiting',
      level: 1,
      active: false,
      visits: 9_007_199_254_740_993n,
      createdAt: day(2),
    })
    em.create(Author, { ...row, id: 3, name: 'cleo', status: 'closed', level: 2, size: 3, createdAt: day(3) })
    await em.flush()

    const queryOf = (query: object) => {
      const context = { meta: orm.getMetadata().get(Author) as never, platform: orm.em.getPlatform() }
      return compileQuery(context, rich.parse(query) as object[])
    }
    for (const [query, where] of SQL) {
      const sql = orm.em
        .fork()
        .createQueryBuilder(Author, 'a')
        .select('id')
        .where(queryOf(query).where as never)
        .getFormattedQuery()
        .replaceAll('`', '"')
      t.equal(sql, `select "a"."id" from "author" as "a"${where && ` ${where}`}`)
    }
    for (const [query, names] of ROWS) {
      const { where, orderBy, limit, offset } = queryOf(query)
      const options = { orderBy: orderBy as never, limit: limit as number, offset: offset as number }
      const found = await orm.em.fork().find(Author, where as never, options)
      t.equal(found.map(({ name }) => name).join(' '), names, JSON.stringify(query))
    }
  })
})
