// What compiles, and what does not, with a repository and its filters. `npm run typecheck` is the test.
import type { Loaded, Ref } from '@mikro-orm/core'
import { expectTypeOf } from 'expect-type'
import {
  beforeAfter,
  type Condition,
  collection,
  comparison,
  exists,
  type FieldName,
  type FieldsOf,
  type Filter,
  filterGroup,
  isNull,
  limitOffset,
  notExists,
  notInCollection,
  notInSearch,
  notNull,
  onBeforeAfter,
  orderBy,
  Repository,
  search,
} from '../../plugins/repository/index.ts'
import type { Engine, SqlEm } from '../../src/index.ts'
import { Author, Note, Seat, Tag, type Ticket } from '../repository/library.ts'

declare const em: SqlEm
declare const engine: Engine
declare const ada: Author
const authors = new Repository(Author, em)
const notes = new Repository(Note, engine)
const seats = new Repository(Seat, em, { errors: 'driver', count: 'separate' })

// What repositories are made of
// @ts-expect-error: not a way to count
new Repository(Author, em, { count: 'twice' })
// @ts-expect-error: a typo
new Repository(Author, em, { eror: 'driver' })
// @ts-expect-error: nothing else is there to be given
new Repository(Author, em, {}, { populate: [] })

// Names
authors.list(orderBy('name'), orderBy('home.city', 'desc'), limitOffset(20))
notes.list(
  orderBy('author.name'),
  comparison('author.home.city', 'eq', 'x'),
  search(['title', 'author.name'], 'x'),
)
authors.list(exists('notes'), exists('notes', comparison('pinned', 'eq', true)), notExists('notes.tags'))
// @ts-expect-error: a typo
authors.list(orderBy('nme'))
// @ts-expect-error: a typo
authors.list(search('nme', 'x'))
// @ts-expect-error: a typo in a list
authors.list(search(['name', 'emial'], 'x'))
// @ts-expect-error: a typo
authors.list(notInSearch('nme', 'x'))
// @ts-expect-error: a typo
authors.list(collection('nme', [1]))
// @ts-expect-error: a typo
authors.list(notInCollection('nme', []))
// @ts-expect-error: a typo
authors.list(beforeAfter('brn', { before: new Date() }))
// @ts-expect-error: a typo
authors.list(onBeforeAfter('brn', {}))
// @ts-expect-error: a typo
authors.list(isNull('nme'))
// @ts-expect-error: a typo
authors.list(notNull('nme'))
// @ts-expect-error: a typo
authors.list(comparison('nme', 'eq', 1))
// @ts-expect-error: a typo
authors.list(exists('nots'))
// @ts-expect-error: a typo behind a relation
authors.list(exists('notes', comparison('pined', 'eq', true)))
// @ts-expect-error: a typo in one of several conditions
authors.list(exists('notes', comparison('pinned', 'eq', true), isNull('titel')))
// @ts-expect-error: a typo in a path
notes.list(orderBy('author.nme'))
// @ts-expect-error: a typo in a group
authors.list(filterGroup('or', [isNull('email'), isNull('nme')]))
// @ts-expect-error: a typo in a condition of MikroORM
authors.list({ nme: 'x' })
// @ts-expect-error: the fields of another entity
authors.list(orderBy('title'))

// Values
authors.list(
  comparison('age', 'gt', 7),
  comparison('age', 'in', [7, 8]),
  comparison('age', 'between', [7, 8]),
)
authors.list(
  comparison('email', 'eq', null),
  comparison('status', 'ne', 'draft'),
  collection('status', ['active']),
)
authors.list(collection('id', undefined), notInCollection('id', null), beforeAfter('born', {}))
authors.list(filterGroup('or', [isNull('email'), comparison('age', 'lt', 7), filterGroup('and', [])]))
notes.list(comparison('author', 'eq', 7), comparison('author', 'eq', ada), comparison('author.id', 'in', [7]))
// @ts-expect-error: a text for a number
authors.list(comparison('age', 'gt', 'x'))
// @ts-expect-error: texts for a number
authors.list(comparison('age', 'in', ['x']))
// @ts-expect-error: one value where two are needed
authors.list(comparison('age', 'between', [7]))
// @ts-expect-error: one value where a list is needed
authors.list(comparison('age', 'in', 7))
// @ts-expect-error: no such operator
authors.list(comparison('age', 'like', 7))
// @ts-expect-error: not one of its values
authors.list(comparison('status', 'eq', 'gone'))
// @ts-expect-error: not one of its values
authors.list(collection('status', ['active', 'gone']))
// @ts-expect-error: a number is not searched for text
authors.list(search('age', 'x'))
// @ts-expect-error: a text is no date
authors.list(beforeAfter('born', { before: '2026' }))
// @ts-expect-error: a date for a number
authors.list(beforeAfter('age', { before: new Date() }))
// @ts-expect-error: a text for a relation whose key is a number
notes.list(comparison('author', 'eq', 'x'))
// @ts-expect-error: what has many values is asked by exists
authors.list(comparison('notes', 'eq', 7))
// @ts-expect-error: a wrong value behind a relation
authors.list(exists('notes', comparison('pinned', 'eq', 7)))
// @ts-expect-error: neither up nor down
authors.list(orderBy('name', 'up'))

// Filters apart
const apart = [search('name', 'x'), orderBy('name'), limitOffset(20)] as const
authors.list(...apart)
const filters: Filter<FieldsOf<Author>>[] = [search('name', 'x')]
filters.push(comparison('age', 'gt', 7), orderBy('home.city'), exists('notes'))
// @ts-expect-error: a field of another entity
filters.push(orderBy('title'))
authors.list(...filters)
// @ts-expect-error: the filters of another entity
notes.list(...filters)
const conditions: Condition<FieldsOf<Author>>[] = [isNull('email')]
authors.list(filterGroup('and', conditions))
// @ts-expect-error: an order is no condition
filterGroup('and', [orderBy('name')])
// @ts-expect-error: a page is no condition
exists('notes', limitOffset(1))
expectTypeOf<'author.home.city' | 'tags.name' | 'title'>().toExtend<FieldName<Note>>()

// Writes
authors.add({ name: 'x' })
authors.add(ada)
authors.addMany([{ name: 'x', age: 7 }, ada])
// @ts-expect-error: name is needed
authors.add({ age: 7 })
// @ts-expect-error: a wrong value
authors.addMany([{ name: 'x', age: 'y' }])
authors.update(7, { age: null })
// @ts-expect-error: a wrong value
authors.update(7, { age: 'x' })
// @ts-expect-error: a typo
authors.update(7, { agee: 7 })
authors.upsert({ name: 'x', email: 'y' }, { matchFields: ['email'] })
// @ts-expect-error: a typo
authors.upsert({ name: 'x' }, { matchFields: ['emial'] })
// @ts-expect-error: a typo
authors.getOrUpsert({ name: 'x' }, { matchFields: ['emial'] })
authors.deleteWhere(isNull('email'), { age: 7 })
// @ts-expect-error: at least one condition
authors.deleteWhere()
// @ts-expect-error: an order is no condition
authors.deleteWhere(orderBy('name'))

// Keys
authors.get(7)
seats.get([1, 'a'])
seats.deleteMany([[1, 'a']])
// @ts-expect-error: a text for a number
authors.get('x')
// @ts-expect-error: half a key
seats.get(1)
// @ts-expect-error: no value that a part of the key has
seats.get([true, 'a'])

// What is returned
expectTypeOf(authors.getOneOrNull()).resolves.toExtend<Author | null>()
expectTypeOf(authors.count()).resolves.toEqualTypeOf<number>()
expectTypeOf(new Repository(Tag, em).upsert({ name: 'x' })).resolves.toEqualTypeOf<Tag>()
expectTypeOf(notes.load('author').get(7)).resolves.toExtend<Loaded<Note, 'author'>>()
notes
  .load('author', 'tags')
  .forUpdate({ locked: 'skip' })
  .listAndCount()
  .then(([[note], total]) => {
    expectTypeOf(note?.author?.$.name).toEqualTypeOf<string | undefined>()
    expectTypeOf(note?.tags.$.length).toEqualTypeOf<number | undefined>()
    expectTypeOf(total).toEqualTypeOf<number>()
  })
notes.get(7).then(note => {
  expectTypeOf(note.author).toExtend<Ref<Author> | null | undefined>()
  // @ts-expect-error: it was not loaded
  note.author?.$
})
// @ts-expect-error: a typo
notes.load('autor')
// @ts-expect-error: not a way to wait
notes.forUpdate({ locked: 'never' })
expectTypeOf<FieldName<Ticket>>().toExtend<string>()
