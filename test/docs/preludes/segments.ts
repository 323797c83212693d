// What the fragments of docs/segments-identities.md stand on: an application with identities in its database.
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import { flags, MemoryFlagStorage } from 'fastify-sqlassist/flags'
import { segments } from 'fastify-sqlassist/segments'

const app = Fastify()
await app.register(sqlAssist, {
  commitMode: 'autocommit',
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
await app.register(segments, {
  environment: { key: 'production', name: 'Production' },
  createTables: true,
  identity: request => ({ identifier: String(request.headers['x-user'] ?? 'ada'), traits: { plan: 'pro' } }),
})
const pro = {
  key: 'pro',
  name: 'Who pays',
  rules: [{ type: 'ALL', conditions: [{ property: 'plan', operator: 'EQUAL', value: 'pro' }] }],
} as const
void [flags, MemoryFlagStorage, pro]
