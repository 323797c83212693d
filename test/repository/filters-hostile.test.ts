import { inspect } from 'node:util'
import t from 'tap'
import {
  beforeAfter,
  collection,
  comparison,
  exists,
  filterGroup,
  isNull,
  limitOffset,
  orderBy,
  Repository,
  search,
} from '../../plugins/repository/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Author, library, Note, Seat, Tag } from './library.ts'

// What a client could send, past a route without a schema: it stays a value, or is refused with 400 before any SQL.

const json = (text: string) => JSON.parse(text) as never
const NAMES = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '',
  '.',
  'name.',
  '.name',
  'name.length',
  'home',
  'id;drop table author',
  '"',
  '`',
  '$or',
  'notes.__proto__',
  'author.constructor.name',
  ['name'],
  { $ne: 1 },
  null,
  undefined,
  7,
  Symbol('x'),
] as never[]
const OBJECTS = [
  { $ne: 1 },
  { $gt: '' },
  { toString: 7 },
  json('{"__proto__":{"x":1}}'),
  [],
  [1],
  [[1]],
  () => 1,
  Symbol('x'),
  undefined,
  Object.create(null),
  new Map(),
  new Error('x'),
] as never[]

await onEveryBackend(t, async (t, backend) => {
  const { em, sqlOf } = await library(t, backend)
  const on = em()
  const authors = new Repository(Author, on)
  await authors.addMany([
    { name: '0', age: 0, born: new Date(0), status: 'active' },
    { name: 'abc', age: 1, secret: 'hidden' },
  ])
  on.clear()

  const refused = async (name: string, codes: readonly string[], call: () => unknown) => {
    let outcome: { code?: string; statusCode?: number; message?: string } = { message: 'nothing was thrown' }
    const sql = await sqlOf(async () => {
      try {
        outcome = { message: inspect(await call()) }
      } catch (error) {
        outcome = error as Error
      }
    })
    t.ok(
      codes.includes(outcome.code as string) && outcome.statusCode === 400 && sql.length === 0,
      `${name}: ${outcome.code} ${outcome.message} ${sql}`,
    )
    t.notMatch(outcome.message, /secret|drop table author"/, name)
  }
  const FIELD = ['SQLA_ERR_UNKNOWN_FIELD', 'SQLA_ERR_INVALID_FILTER']
  const VALUE = ['SQLA_ERR_INVALID_FILTER']

  t.test('a name that is no field is refused, whatever it is', async () => {
    for (const name of NAMES) {
      const said = inspect(name)
      await refused(`orderBy ${said}`, FIELD, () => authors.list(orderBy(name) as never))
      await refused(`comparison ${said}`, FIELD, () => authors.list(comparison(name, 'eq', 'x') as never))
      await refused(`isNull ${said}`, FIELD, () => authors.list(isNull(name) as never))
      await refused(`search ${said}`, FIELD, () => authors.list(search([name], 'x') as never))
      await refused(`exists ${said}`, FIELD, () => authors.list(exists(name) as never))
      await refused(`deleteWhere ${said}`, FIELD, () =>
        authors.deleteWhere(comparison(name, 'eq', 'x') as never),
      )
    }
  })

  t.test('an object is never an operator, and a value is of the kind of its column', async () => {
    for (const value of OBJECTS) {
      const said = inspect(value)
      await refused(`eq ${said}`, VALUE, () => authors.list(comparison('name', 'eq', value)))
      await refused(`in ${said}`, VALUE, () => authors.list(collection('age', [value])))
      await refused(`a relation ${said}`, VALUE, () =>
        new Repository(Note, on).list(comparison('author', 'eq', value)),
      )
      await refused(`key ${said}`, VALUE, () => authors.get(value))
      await refused(`search ${said}`, VALUE, () => authors.list(search('name', value)))
      await refused(`match ${said}`, VALUE, () =>
        new Repository(Tag, on).getOrUpsert({ name: value }, { matchFields: ['name'] }),
      )
    }
    const wrong: [string, unknown[]][] = [
      ['name', [0, true, 5n, new Date(0), 'a\0b']],
      ['age', ['abc', '1abc', '', ' ', '0x10', 1.5, Number.NaN, Infinity, '1e3', true, 2 ** 60, 10n ** 30n]],
      [
        'born',
        ['x', '2026-02-30', '0000-00-00', new Date(Number.NaN), new Date(8.64e15), '2026-01-01; select 1', 7],
      ],
      ['status', ['gone', 0, '']],
      ['home', ['x']],
      ['notes', [1]],
    ]
    for (const [field, values] of wrong) {
      for (const value of values) {
        await refused(`${field} eq ${inspect(value)}`, VALUE, () =>
          authors.list(comparison(field as 'name', 'eq', value as never)),
        )
      }
    }
    for (const key of ['abc', '1abc', 1.5, Number.NaN, '', true, new Date(0)] as never[]) {
      await refused(`key ${inspect(key)}`, VALUE, () => authors.get(key))
    }
    for (const key of [
      1,
      [1],
      [1, 'a', 2],
      ['x', 'a'],
      [1, 7],
      { row: 1 },
      { row: 1, place: { $ne: 1 } },
      [[1, 'a']],
    ] as never[]) {
      await refused(`key ${inspect(key)}`, VALUE, () => new Repository(Seat, on).get(key))
    }
    const filters: [string, () => unknown][] = [
      ['no operator', () => comparison('age', 'constructor' as never, 1 as never)],
      ['an operator of MikroORM', () => comparison('age', '$ne' as never, 1 as never)],
      ['null is not compared', () => comparison('age', 'gt', null as never)],
      ['between needs two', () => comparison('age', 'between', [1] as never)],
      ['in needs a list', () => comparison('age', 'in', '1' as never)],
      ['a bound that is none', () => beforeAfter('born', { before: 'tomorrow' } as never)],
      [
        'no condition of ours',
        () => filterGroup('or', [json('{"kind":"compare","field":"age","operator":"eq","value":1}')]),
      ],
      ['no condition of ours', () => exists('notes', json('{"kind":"null","field":"title"}'))],
      ['half a page', () => limitOffset('20' as never)],
      ['less than nothing', () => limitOffset(-1)],
      ['more than can be counted', () => limitOffset(1, 2 ** 53)],
      ['sideways', () => orderBy('name', 'asc; drop table author' as never)],
      ['a list of filters', () => [isNull('email')]],
      ['no filter', () => 'name'],
    ]
    for (const [name, filter] of filters) await refused(name, VALUE, () => authors.list(filter() as never))
    await refused('a filter that was sent', FIELD, () =>
      authors.list(json('{"kind":"null","field":"email","negated":false}')),
    )
  })

  t.test('what is a usual spelling of a value finds the same rows', async t => {
    const found = async (...filters: Parameters<typeof authors.list>) =>
      (await authors.list(...filters)).map(({ name }) => name)
    t.strictSame(await found(comparison<string, 'eq', unknown>('age', 'eq', '1') as never), ['abc'])
    t.strictSame(await found(comparison('age', 'eq', 1n) as never), ['abc'])
    t.strictSame(await found(comparison('born', 'le', '1970-01-01T00:00:00.000Z') as never), ['0'])
    t.strictSame(
      await found(comparison('age', 'lt', 2 ** 40)),
      ['0', 'abc'],
      'out of the range of its column',
    )
    t.strictSame(await found(comparison('name', 'eq', '\ud800')), [])
    t.strictSame(await found(search('name', '\ud800')), [])
    t.strictSame(await found(comparison('name', 'eq', `' or 1=1 -- \\`)), [])
  })

  t.test('a filter does not change with the list that it was made from', async t => {
    const values = [1]
    const fields = ['name' as const]
    const [ones, named] = [collection('age', values), search(fields, 'abc')]
    values.push(0)
    fields.push('nme' as never)
    for (const filter of [ones, named]) {
      t.strictSame(
        (await authors.list(filter)).map(({ name }) => name),
        ['abc'],
      )
    }
  })
})
