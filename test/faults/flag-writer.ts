import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import { FlagStorage } from '../../plugins/flags/index.ts'
import sqlAssist from '../../src/index.ts'

// A process of test/faults/flag-versions.faults.ts: `WRITERS` writers that save `UPSERTS` flags each.

const { URL = '', PROCESS = '0', WRITERS = '1', UPSERTS = '1' } = process.env
const app = Fastify()
await app.register(sqlAssist, {
  engines: {
    writer: {
      orm: defineConfig({
        clientUrl: URL,
        entities: [],
        discovery: { warnWhenNoEntities: false },
        pool: { min: 0, max: Number(WRITERS) },
      }),
    },
  },
})
const storage = new FlagStorage({ on: app.sqlAssist.engines.get('writer') })
await Promise.all(
  Array.from({ length: Number(WRITERS) }, async (_none, writer) => {
    for (let n = 0; n < Number(UPSERTS); n++) {
      await storage.upsert({ name: `${PROCESS}-${writer}-${n}`, enabled: true })
    }
  }),
)
await app.close()
