// What the fragments of the guides stand on: an application with a reader, a writer and a logger.
import { defineConfig, defineEntity, MikroORM, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist, { errors, requestOf, sessionOf } from 'fastify-sqlassist'

const UserSchema = defineEntity({
  name: 'User',
  properties: { id: p.integer().primary(), name: p.string(), visits: p.integer().default(0) },
})
class User extends UserSchema.class {}
UserSchema.setClass(User)
const AuditLine = defineEntity({
  name: 'AuditLine',
  properties: { id: p.integer().primary(), what: p.string() },
})

const { WRITER_URL = '', READER_URL = '', LOGGER_URL = '' } = process.env
const entities = [User, AuditLine]
const app = Fastify()
await app.register(sqlAssist, {
  engines: {
    writer: { orm: defineConfig({ clientUrl: WRITER_URL, entities }), createAll: true },
    reader: { orm: defineConfig({ clientUrl: READER_URL, entities }), readOnly: true },
    logger: { orm: defineConfig({ clientUrl: LOGGER_URL, entities }), autocommit: true },
  },
  commitMode: 'autocommit',
})
await app.sqlAssist.run(async db => {
  await db.writer.insert(User, { name: 'Ann', visits: 0 })
})
void [MikroORM, errors, requestOf, sessionOf, LOGGER_URL]
