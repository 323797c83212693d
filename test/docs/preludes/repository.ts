// What the fragments of docs/repository.md stand on: authors with notes, and an application that saves by itself.
import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import {
  beforeAfter,
  collection,
  comparison,
  exists,
  type FieldsOf,
  type Filter,
  filterGroup,
  filterQuery,
  isNull,
  limitOffset,
  orderBy,
  Repository,
  registerCrud,
  Service,
  search,
} from 'fastify-sqlassist/repository'

const AuthorSchema = defineEntity({
  name: 'Author',
  properties: {
    id: p.integer().primary(),
    name: p.string().unique(),
    slug: p.string().nullable(),
    createdAt: p.datetime().defaultRaw('now()'),
    notes: () => p.oneToMany(Note).mappedBy('author'),
  },
})
class Author extends AuthorSchema.class {}
AuthorSchema.setClass(Author)

const NoteSchema = defineEntity({
  name: 'Note',
  properties: {
    id: p.integer().primary(),
    title: p.string(),
    pinned: p.boolean().default(false),
    deletedAt: p.datetime().nullable(),
    author: () => p.manyToOne(Author),
  },
})
class Note extends NoteSchema.class {}
NoteSchema.setClass(Note)

const { WRITER_URL = '', READER_URL = '' } = process.env
const entities = [Author, Note]
const app = Fastify()
await app.register(sqlAssist, {
  engines: {
    writer: { orm: defineConfig({ clientUrl: WRITER_URL, entities }), createAll: true },
    reader: { orm: defineConfig({ clientUrl: READER_URL, entities }), readOnly: true },
  },
  commitMode: 'autocommit',
})
await app.sqlAssist.run(async db => {
  await new Repository(Author, db.writer).addMany([{ name: 'Ada' }, { name: 'Grace' }])
})
void [beforeAfter, collection, comparison, exists, filterGroup, filterQuery, isNull, limitOffset, orderBy]
void [registerCrud, Service, search]

export type { FieldsOf, Filter }
