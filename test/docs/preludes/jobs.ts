// What the fragments of docs/jobs.md stand on: users, and jobs in a table.
import { setTimeout as sleep } from 'node:timers/promises'
import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist, { type Db, isServerFailure, listen, runOn } from 'fastify-sqlassist'

const UserSchema = defineEntity({
  name: 'User',
  properties: { id: p.integer().primary(), name: p.string(), visits: p.integer().default(0) },
})
class User extends UserSchema.class {}
UserSchema.setClass(User)

const JobSchema = defineEntity({
  name: 'Job',
  properties: {
    id: p.integer().primary(),
    kind: p.string(),
    payload: p.json<Record<string, unknown>>(),
    attempts: p.integer().default(0),
    notBefore: p.datetime().defaultRaw('now()'),
    problem: p.text().nullable(),
  },
})
class Job extends JobSchema.class {}
JobSchema.setClass(Job)

const { WRITER_URL = '', READER_URL = '' } = process.env
const entities = [User, Job]
const app = Fastify()
await app.register(sqlAssist, {
  engines: {
    writer: { orm: defineConfig({ clientUrl: WRITER_URL, entities }), createAll: true },
    reader: { orm: defineConfig({ clientUrl: READER_URL, entities }), readOnly: true },
  },
  commitMode: 'autocommit',
})
await app.sqlAssist.run(async db => {
  for (let n = 0; n < 1_200; n++) db.writer.create(User, { name: `user ${n}`, visits: n % 3 })
})
void [sleep, isServerFailure, listen, runOn]

export type { Db }
