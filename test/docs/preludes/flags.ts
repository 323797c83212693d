// What the fragments of docs/flags.md stand on: an application with flags in its database.
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import { FlagClient, FlagStorage, flags, MemoryFlagStorage } from 'fastify-sqlassist/flags'

const app = Fastify()
await app.register(sqlAssist, {
  engines: {
    writer: {
      orm: defineConfig({
        clientUrl: process.env.WRITER_URL ?? '',
        entities: [],
        discovery: { warnWhenNoEntities: false },
      }),
    },
  },
})
await app.register(flags, {
  createTables: true,
  entries: request => ({ user_id: String(request.headers['x-user-id'] ?? '') }),
})
const { storage } = app.flags
await storage.upsert({ name: 'new-checkout', enabled: true })
void [FlagClient, FlagStorage, MemoryFlagStorage]
