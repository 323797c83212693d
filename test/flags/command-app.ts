// What `sqlassist flags … --app` loads in a test.
import { defineConfig } from '@mikro-orm/sqlite'
import Fastify from 'fastify'
import { flags } from '../../plugins/flags/index.ts'
import sqlAssist from '../../src/index.ts'

export default async function commandApp() {
  const app = Fastify()
  const orm = defineConfig({
    dbName: process.env.FLAGS_DB ?? ':memory:',
    entities: [],
    discovery: { warnWhenNoEntities: false },
  })
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  if (process.env.WITHOUT_FLAGS === undefined) await app.register(flags, { createTables: true })
  return app
}
