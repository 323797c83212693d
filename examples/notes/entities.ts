import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql'

// The class pattern of MikroORM: properties are declared once, types have the name of the class.

const AuthorSchema = defineEntity({
  name: 'Author',
  properties: {
    id: p.integer().primary(),
    name: p.string().length(80).unique(),
    createdAt: p.datetime().defaultRaw('now()'),
    notes: () => p.oneToMany(Note).mappedBy('author').orderBy({ id: 'asc' }),
  },
})
export class Author extends AuthorSchema.class {}
AuthorSchema.setClass(Author)

const NoteSchema = defineEntity({
  name: 'Note',
  properties: {
    id: p.integer().primary(),
    title: p.string().length(120),
    text: p.text().default(''),
    createdAt: p.datetime().defaultRaw('now()'),
    author: () => p.manyToOne(Author).inversedBy('notes').deleteRule('no action').index(),
  },
})
export class Note extends NoteSchema.class {}
NoteSchema.setClass(Note)

const AuditLineSchema = defineEntity({
  name: 'AuditLine',
  properties: {
    id: p.integer().primary(),
    at: p.datetime().defaultRaw('now()'),
    action: p.string(),
    target: p.string().length(500),
    status: p.integer(),
    requestId: p.string(),
  },
})
/** What somebody tried to do, and what they were answered. */
export class AuditLine extends AuditLineSchema.class {}
AuditLineSchema.setClass(AuditLine)

declare module 'fastify-sqlassist' {
  /** From here on `request.db` has these three and nothing else, and the compiler knows it. */
  interface SqlAssistEngines {
    reader: EntityManager
    writer: EntityManager
    logger: EntityManager
  }
}
