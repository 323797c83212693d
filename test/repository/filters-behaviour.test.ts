import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import {
  beforeAfter,
  type Condition,
  collection,
  comparison,
  exists,
  filterGroup,
  isNull,
  notExists,
  notInCollection,
  notInSearch,
  notNull,
  onBeforeAfter,
  orderBy,
  Repository,
  search,
} from '../../plugins/repository/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Author, entities, library, Note } from './library.ts'

// What each filter finds, against what it says it finds, in JavaScript.

interface Row {
  readonly id: number
  readonly name: string
  readonly email: string | null
  readonly age: number | null
  readonly born: Date | null
  readonly city: string | null
  readonly notes: readonly { readonly title: string; readonly pinned: boolean }[]
}
type Test = (row: Row) => boolean
interface Case {
  readonly filter: Condition<never>
  readonly holds: Test
  readonly words: string
}

const TEXTS = ['a', 'A', 'ä', 'Ä', '%', '_', '\\', "'", '50%', 'a_b', '*', '?', '[a]', '!', '"', '😀', '']
const DATES = [
  new Date('2020-01-01T00:00:00Z'),
  new Date('2021-06-01T12:30:00Z'),
  new Date('2022-12-31T23:59:59Z'),
]
const ROWS: Row[] = [
  ...TEXTS.map((text, at) => ({
    id: at + 1,
    name: text,
    email: at % 3 === 0 ? null : `${text}@${at}`,
    age: at % 4 === 0 ? null : at - 5,
    born: at % 5 === 0 ? null : (DATES[at % 3] as Date),
    city: at % 2 === 0 ? null : text,
    notes: Array.from({ length: at % 3 }, (_, note) => ({
      title: `${text}${note}`,
      pinned: (at + note) % 2 === 0,
    })),
  })),
]

const lower = (text: string) => text.toLowerCase()
const contains = (value: string | null, text: string, ignoreCase: boolean) =>
  value !== null && (ignoreCase ? lower(value).includes(lower(text)) : value.includes(text))
const as = (filter: unknown, holds: Test, words: string): Case => ({
  filter: filter as Condition<never>,
  holds,
  words,
})

const text = fc.constantFrom(...TEXTS)
const number = fc.integer({ min: -6, max: 12 })
const date = fc.constantFrom(...DATES)
const OPERATORS = {
  eq: (a: number, b: number) => a === b,
  ne: (a: number, b: number) => a !== b,
  gt: (a: number, b: number) => a > b,
  ge: (a: number, b: number) => a >= b,
  lt: (a: number, b: number) => a < b,
  le: (a: number, b: number) => a <= b,
} as const

/** Conditions on one row; `null` satisfies none but isNull, notInSearch and the negation of another. */
const leaf: fc.Arbitrary<Case> = fc.oneof(
  fc
    .tuple(text, fc.boolean())
    .map(([value, ignoreCase]) =>
      as(
        search(['name', 'email'], value, { ignoreCase }),
        row => contains(row.name, value, ignoreCase) || contains(row.email, value, ignoreCase),
        `search ${value} ${ignoreCase}`,
      ),
    ),
  fc
    .tuple(text, fc.boolean())
    .map(([value, ignoreCase]) =>
      as(
        notInSearch(['email', 'home.city'], value, { ignoreCase }),
        row => !contains(row.email, value, ignoreCase) && !contains(row.city, value, ignoreCase),
        `notInSearch ${value} ${ignoreCase}`,
      ),
    ),
  text.map(value =>
    as(search('home.city', value), row => contains(row.city, value, false), `search city ${value}`),
  ),
  text.map(value =>
    as(comparison('name', 'startsWith', value), row => row.name.startsWith(value), `startsWith ${value}`),
  ),
  text.map(value =>
    as(comparison('email', 'contains', value), row => contains(row.email, value, false), `contains ${value}`),
  ),
  fc
    .array(number, { maxLength: 3 })
    .map(values =>
      as(
        collection('age', values),
        row => row.age !== null && values.includes(row.age),
        `collection ${values}`,
      ),
    ),
  fc
    .array(number, { maxLength: 3 })
    .map(values =>
      as(
        notInCollection('age', values),
        row => values.length === 0 || (row.age !== null && !values.includes(row.age)),
        `notInCollection ${values}`,
      ),
    ),
  fc.constantFrom(undefined, null).map(none => as(collection('age', none), () => true, 'no collection')),
  fc
    .tuple(fc.option(date), fc.option(date))
    .map(([before, after]) =>
      as(
        beforeAfter('born', { before, after }),
        ({ born }) =>
          (before === null || (born !== null && born < before)) &&
          (after === null || (born !== null && born > after)),
        `beforeAfter ${before} ${after}`,
      ),
    ),
  fc
    .tuple(fc.option(date), fc.option(date))
    .map(([onOrBefore, onOrAfter]) =>
      as(
        onBeforeAfter('born', { onOrBefore, onOrAfter }),
        ({ born }) =>
          (onOrBefore === null || (born !== null && born <= onOrBefore)) &&
          (onOrAfter === null || (born !== null && born >= onOrAfter)),
        `onBeforeAfter ${onOrBefore} ${onOrAfter}`,
      ),
    ),
  fc.constant(as(isNull('email'), row => row.email === null, 'isNull')),
  fc.constant(as(notNull('home.city'), row => row.city !== null, 'notNull')),
  fc
    .constantFrom('eq' as const, 'ne' as const)
    .map(operator =>
      as(
        comparison('email', operator, null),
        row => (row.email === null) === (operator === 'eq'),
        `${operator} null`,
      ),
    ),
  fc
    .tuple(fc.constantFrom(...(Object.keys(OPERATORS) as (keyof typeof OPERATORS)[])), number)
    .map(([operator, value]) =>
      as(
        comparison('age', operator, value),
        row => row.age !== null && OPERATORS[operator](row.age, value),
        `age ${operator} ${value}`,
      ),
    ),
  fc
    .tuple(number, number)
    .map(([a, b]) =>
      as(
        comparison('age', 'between', [a, b]),
        row => row.age !== null && row.age >= a && row.age <= b,
        `between ${a} ${b}`,
      ),
    ),
)
const onNotes = fc.oneof(
  text.map(value => ({
    filter: comparison('title', 'contains', value),
    holds: (note: Row['notes'][0]) => note.title.includes(value),
    words: value,
  })),
  fc.boolean().map(value => ({
    filter: comparison('pinned', 'eq', value),
    holds: (note: Row['notes'][0]) => note.pinned === value,
    words: `${value}`,
  })),
)
const condition: fc.Arbitrary<Case> = fc.letrec<{ any: Case }>(tie => ({
  any: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc
      .tuple(fc.constantFrom('and' as const, 'or' as const), fc.array(tie('any'), { maxLength: 3 }))
      .map(([operator, inner]) =>
        as(
          filterGroup(
            operator,
            inner.map(({ filter }) => filter),
          ),
          row =>
            operator === 'and' ? inner.every(one => one.holds(row)) : inner.some(one => one.holds(row)),
          `${operator}(${inner.map(({ words }) => words)})`,
        ),
      ),
    fc
      .array(onNotes, { maxLength: 2 })
      .map(inner =>
        as(
          exists('notes', ...inner.map(({ filter }) => filter)),
          row => row.notes.some(note => inner.every(one => one.holds(note))),
          `exists(${inner.map(({ words }) => words)})`,
        ),
      ),
    fc
      .array(onNotes, { maxLength: 2 })
      .map(inner =>
        as(
          notExists('notes', ...inner.map(({ filter }) => filter)),
          row => !row.notes.some(note => inner.every(one => one.holds(note))),
          `notExists(${inner.map(({ words }) => words)})`,
        ),
      ),
    text.map(value =>
      as(
        comparison('notes.title', 'startsWith', value),
        row => row.notes.some(({ title }) => title.startsWith(value)),
        `notes.title ${value}`,
      ),
    ),
    text.map(value =>
      as(
        notInSearch('notes.title', value),
        row => !row.notes.some(({ title }) => title.includes(value)),
        `notInSearch notes.title ${value}`,
      ),
    ),
  ),
})).any

await onEveryBackend(t, async (t, backend) => {
  const { em } = await library(t, backend, { entities })
  const on = em()
  await new Repository(Author, on).addMany(
    ROWS.map(({ city, notes, ...row }) => ({ ...row, home: { city }, work: { city } })),
  )
  await new Repository(Note, on).addMany([
    ...ROWS.flatMap(({ id, notes }) => notes.map(note => ({ ...note, author: id }))),
    { title: 'nobody' },
  ])
  const authors = new Repository(Author, em())
  const notes = new Repository(Note, em())
  const ids = (rows: readonly { id: number }[]) => rows.map(({ id }) => id)

  t.test('every condition finds exactly the rows that satisfy it', async t => {
    await fc.assert(
      fc.asyncProperty(condition, async ({ filter, holds, words }) => {
        const found = ids(await authors.list(filter, orderBy('id')))
        const expected = ids(ROWS.filter(holds))
        if (inspect(found) !== inspect(expected)) t.strictSame(found, expected, words)
        else t.pass(words)
        if (inspect(found) !== inspect(expected)) throw new RangeError(words)
      }),
      { numRuns: 300, seed: 11 },
    )
  })

  t.test('notExists of a relation to one finds exactly what exists does not', async t => {
    await fc.assert(
      fc.asyncProperty(condition, async ({ filter, holds, words }) => {
        const all = await notes.list(orderBy('id'))
        const [there, not] = [exists('author', filter), notExists('author', filter)]
        const expected = all.filter(({ author }) => author && holds(ROWS[author.id - 1] as Row))
        t.strictSame(ids(await notes.list(there, orderBy('id'))), ids(expected), words)
        t.strictSame(
          ids(await notes.list(not, orderBy('id'))),
          ids(all.filter(one => !expected.includes(one))),
          `not ${words}`,
        )
      }),
      { numRuns: 60, seed: 12 },
    )
  })

  t.test('an embedded object that is stored as JSON', async t => {
    const cities = ROWS.filter(({ city }) => city === '%')
    t.strictSame(ids(await authors.list(comparison('work.city', 'eq', '%'))), ids(cities))
    await t.rejects(authors.list(search('work.city', 'x')), { code: 'SQLA_ERR_INVALID_FILTER' })
  })
})
