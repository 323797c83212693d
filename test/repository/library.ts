import type { Options } from '@mikro-orm/core'
import { defineEntity, p } from '@mikro-orm/core'
import type { Test } from 'tap'
import type { SqlEm } from '../../src/index.ts'
import type { TestBackend } from '../support/backends.ts'

// Entities with every kind of relation, embedded object and key, and databases that have their tables.

export const Place = defineEntity({
  name: 'Place',
  embeddable: true,
  properties: { city: p.string().nullable(), zip: p.string().nullable() },
})

const AuthorSchema = defineEntity({
  name: 'Author',
  properties: {
    id: p.integer().primary(),
    name: p.string(),
    email: p.string().unique().nullable(),
    age: p.integer().nullable(),
    status: p.enum(['draft', 'active']).default('draft'),
    secret: p.string().hidden().nullable(),
    born: p.datetime().nullable(),
    home: () => p.embedded(Place).nullable(),
    work: () => p.embedded(Place).object().nullable(),
    notes: () => p.oneToMany(Note).mappedBy('author'),
  },
})
export class Author extends AuthorSchema.class {}
AuthorSchema.setClass(Author)

const TagSchema = defineEntity({
  name: 'Tag',
  properties: {
    id: p.integer().primary(),
    name: p.string().unique(),
    color: p.string().nullable(),
    hits: p.integer().default(0),
  },
})
export class Tag extends TagSchema.class {}
TagSchema.setClass(Tag)

const NoteSchema = defineEntity({
  name: 'Note',
  properties: {
    id: p.integer().primary(),
    title: p.string(),
    pinned: p.boolean().default(false),
    author: () => p.manyToOne(Author).ref().nullable(),
    tags: () => p.manyToMany(Tag),
  },
})
export class Note extends NoteSchema.class {}
NoteSchema.setClass(Note)

/** Has a key of two values. */
const SeatSchema = defineEntity({
  name: 'Seat',
  properties: { row: p.integer().primary(), place: p.string().primary(), price: p.integer() },
})
export class Seat extends SeatSchema.class {}
SeatSchema.setClass(Seat)

/** Has a key of two relations, one of them to a key of two values. */
const TicketSchema = defineEntity({
  name: 'Ticket',
  properties: {
    author: () => p.manyToOne(Author).primary(),
    seat: () => p.manyToOne(Seat).primary(),
    paid: p.boolean().default(false),
  },
})
export class Ticket extends TicketSchema.class {}
TicketSchema.setClass(Ticket)

/** Comes in an order of its own. */
export const Shelf = defineEntity({
  name: 'Shelf',
  properties: { id: p.integer().primary(), label: p.string() },
  orderBy: { label: 'desc' },
})

export const entities = [Author, Tag, Note, Seat, Ticket, Place, Shelf]

export interface Library {
  /** A fresh EntityManager, without a transaction. */
  em(): SqlEm
  /** Runs in a transaction that is rolled back. */
  within<R>(fn: (em: SqlEm) => Promise<R>): Promise<R>
  /** The statements of a call, without BEGIN and the like. */
  sqlOf(fn: () => Promise<unknown>): Promise<string[]>
}

export async function library(
  t: Test,
  backend: TestBackend,
  options: Partial<Options> = {},
): Promise<Library> {
  let log: string[] | undefined
  const orm = await backend.orm(t, {
    entities,
    debug: ['query', 'query-params'],
    colors: false,
    logger: message => log?.push(message.replace(/^\[query\] /, '').replace(/ \[took .*$/s, '')),
    ...options,
  })
  await orm.schema.create()
  const em = () => orm.em.fork()
  return {
    em,
    async within(fn) {
      const own = em()
      await own.begin()
      try {
        return await fn(own)
      } finally {
        await own.rollback()
      }
    },
    async sqlOf(fn) {
      log = []
      try {
        await fn()
        return log.filter(sql => !/^(begin|commit|rollback|savepoint|release|set |start )/i.test(sql))
      } finally {
        log = undefined
      }
    },
  }
}
