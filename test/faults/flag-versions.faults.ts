import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import t from 'tap'
import { FlagStorage, flags } from '../../plugins/flags/index.ts'
import sqlAssist from '../../src/index.ts'
import { childEnvironment } from '../support/child-environment.ts'
import { testDatabase } from '../support/cluster.ts'

// Writers in several processes save flags as fast as they can, while readers ask for what is newer than the newest
// they have seen. A version that was given before another and committed after it would be missed for ever.

const PROCESSES = 5
const WRITERS = 10
const UPSERTS = Number(process.env.UPSERTS ?? 200)
const ALL = PROCESSES * WRITERS * UPSERTS

t.setTimeout(300_000)

t.test(
  `${PROCESSES * WRITERS} writers × ${UPSERTS} upserts: a reader that polls by version misses none`,
  async t => {
    const db = await testDatabase(t)
    const app = Fastify()
    t.teardown(() => app.close())
    const config = { entities: [], discovery: { warnWhenNoEntities: false } }
    await app.register(sqlAssist, {
      engines: { writer: { orm: defineConfig({ clientUrl: db.superUrl, ...config }) } },
    })
    // Notified; the other one below only polls.
    await app.register(flags, { createTables: true, ttl: 600_000 })
    await app.ready()
    const storage = new FlagStorage({ on: app.sqlAssist.engines.get('writer') })

    const writers = Array.from({ length: PROCESSES }, async (_none, number) => {
      const child = spawn(process.execPath, [fileURLToPath(new URL('flag-writer.ts', import.meta.url))], {
        env: {
          ...childEnvironment,
          URL: db.superUrl,
          PROCESS: String(number),
          WRITERS: String(WRITERS),
          UPSERTS: String(UPSERTS),
        },
        stdio: ['ignore', 'inherit', 'inherit'],
      })
      const [code] = await once(child, 'exit')
      return code
    })
    let isWriting = true
    const codes = Promise.all(writers).finally(() => {
      isWriting = false
    })

    const seen = new Set<string>()
    const versions = new Set<number>()
    let polls = 0
    let newest = 0
    const poll = async (): Promise<void> => {
      const changed = await storage.list({ versionGreaterThan: newest })
      for (const { name, version } of changed) {
        seen.add(name)
        versions.add(version)
      }
      newest = changed.at(-1)?.version ?? newest
      polls++
    }
    while (isWriting) {
      await poll()
      await sleep(1)
    }
    t.same(await codes, Array(PROCESSES).fill(0))
    await poll()
    t.equal(seen.size, ALL, `${polls} polls`)
    t.equal(versions.size, ALL, 'no version twice')
    t.equal(newest, ALL)

    for (let tries = 0; tries < 200 && app.flags.flags().size < ALL; tries++) await sleep(10)
    t.equal(app.flags.flags().size, ALL, 'nor does a client that is notified')
  },
)
