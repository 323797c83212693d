// What the fragments of docs/filter-query.md stand on: an application with authors.
import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import { filterQuery, type QueryOf, Repository } from 'fastify-sqlassist/repository'

const TeamSchema = defineEntity({
  name: 'Team',
  properties: { id: p.integer().primary(), title: p.string() },
})
class Team extends TeamSchema.class {}
TeamSchema.setClass(Team)

const AuthorSchema = defineEntity({
  name: 'Author',
  properties: {
    id: p.integer().primary(),
    name: p.string(),
    status: p.enum(['open', 'closed']).default('open'),
    active: p.boolean().default(true),
    createdAt: p.datetime().defaultRaw('now()'),
    team: () => p.manyToOne(Team).nullable(),
  },
})
class Author extends AuthorSchema.class {}
AuthorSchema.setClass(Author)

const app = Fastify()
await app.register(sqlAssist, {
  engines: {
    writer: {
      orm: defineConfig({ clientUrl: process.env.WRITER_URL ?? '', entities: [Author, Team] }),
      createAll: true,
    },
  },
})
await app.sqlAssist.run(async db => {
  await db.writer.insert(Author, { name: 'Ada' })
})
void [filterQuery, Repository]
void (0 as unknown as QueryOf<never>)
