// What the replicas of docs/deployment-pgbouncer.md stand on: a primary and a standby, and a PgBouncer before each.
import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import { startCluster } from 'fastify-sqlassist/embedded'
import { startPgBouncer, withoutPgBouncer } from '../../support/pgbouncer.ts'

if (withoutPgBouncer !== false) {
  console.log(`SKIPPED: ${withoutPgBouncer}`)
  process.exit(0)
}
const cleanups: (() => unknown)[] = []
const cluster = await startCluster({ replicas: 1 })
const [replica] = cluster.replicas
const t = { teardown: (fn: () => unknown) => cleanups.push(fn) }
const urlsOf = async (server: typeof cluster.primary) => {
  const [writer, reader] = [cluster.url('writer', server), cluster.url('reader', server)]
  const bouncer = await startPgBouncer(t, [writer, reader])
  return { writer: bouncer.through(writer), reader: bouncer.through(reader) }
}
const a = await urlsOf(cluster.primary)
const b = await urlsOf(replica ?? cluster.primary)

const User = defineEntity({ name: 'User', properties: { id: p.integer().primary(), name: p.string() } })
const app = Fastify()
app.addHook('onClose', async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
  await cluster.stop()
})
void [a, b, defineConfig, sqlAssist, User]
