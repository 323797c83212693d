// What the fragments of docs/routing.md stand on: a primary with a standby, and an application that reads from them.
import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import { startCluster } from 'fastify-sqlassist/embedded'

const UserSchema = defineEntity({
  name: 'User',
  properties: { id: p.integer().primary(), name: p.string(), visits: p.integer().default(0) },
})
class User extends UserSchema.class {}
UserSchema.setClass(User)

const cluster = await startCluster({ replicas: 1 })
const entities = [User]
const SECRET = 'a secret of at least 16 characters'
const engines = {
  writer: { orm: defineConfig({ clientUrl: cluster.url('writer'), entities }), createAll: true },
  reader: {
    orm: defineConfig({ clientUrl: cluster.url('reader', cluster.primary), entities }),
    readOnly: true as const,
    replicas: cluster.replicas.map(replica => ({ clientUrl: cluster.url('reader', replica) })),
  },
}
const app = Fastify()
await app.register(sqlAssist, {
  engines,
  commitMode: 'autocommit',
  routing: { token: { secret: SECRET } },
})
app.addHook('onClose', () => cluster.stop())
await app.sqlAssist.run(async db => {
  await db.writer.insert(User, { name: 'Ann', visits: 0 })
})
for (const replica of cluster.replicas) await replica.caughtUp()
