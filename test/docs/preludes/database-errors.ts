// What the fragments of docs/database-errors.md stand on: an application whose entities have constraints.
import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import { databaseErrors, isClientError, toClientError } from 'fastify-sqlassist/repository'

const AuthorSchema = defineEntity({
  name: 'Author',
  properties: { id: p.integer().primary(), name: p.string().unique() },
})
class Author extends AuthorSchema.class {}
AuthorSchema.setClass(Author)

const app = Fastify()
await app.register(sqlAssist, {
  engines: {
    writer: {
      orm: defineConfig({ clientUrl: process.env.WRITER_URL ?? '', entities: [Author] }),
      createAll: true,
    },
  },
  commitMode: 'autocommit',
})
await app.sqlAssist.run(async db => {
  await db.writer.insert(Author, { name: 'Bea' })
})
void [databaseErrors, isClientError, toClientError]
