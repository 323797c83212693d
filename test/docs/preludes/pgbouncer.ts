// What the fragments of docs/deployment-pgbouncer.md stand on: a real PgBouncer before a real server, set up as the page says.
import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist, { listen } from 'fastify-sqlassist'
import { startPgBouncer, withoutPgBouncer } from '../../support/pgbouncer.ts'

if (withoutPgBouncer !== false) {
  console.log(`SKIPPED: ${withoutPgBouncer}`)
  process.exit(0)
}
const { WRITER_URL = '', READER_URL = '' } = process.env
const cleanups: (() => unknown)[] = []
const bouncer = await startPgBouncer({ teardown: fn => cleanups.push(fn) }, [WRITER_URL, READER_URL], {
  poolSize: 20,
  settings: {
    reserve_pool_size: 5,
    query_wait_timeout: 15,
    server_idle_timeout: 300,
    ignore_startup_parameters: 'extra_float_digits',
  },
})
const pooled = { writer: bouncer.through(WRITER_URL), reader: bouncer.through(READER_URL) }
Object.assign(process.env, {
  WRITER_URL: pooled.writer,
  READER_URL: pooled.reader,
  DIRECT_URL: WRITER_URL,
})

const User = defineEntity({
  name: 'User',
  properties: { id: p.integer().primary(), name: p.string(), visits: p.integer().default(0) },
})
const app = Fastify()
app.addHook('onClose', async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
})
await app.register(sqlAssist, {
  engines: {
    writer: {
      orm: defineConfig({ clientUrl: pooled.writer, entities: [User], pool: { max: 10 } }),
      createAll: true,
    },
    reader: { orm: defineConfig({ clientUrl: pooled.reader, entities: [User] }), readOnly: true },
    direct: { orm: defineConfig({ clientUrl: WRITER_URL, entities: [User] }), join: false },
  },
  commitMode: 'autocommit',
})
void listen
