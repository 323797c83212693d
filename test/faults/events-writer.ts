import { writeSync } from 'node:fs'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from '../../src/index.ts'
import { Dog, Invoice, TrainingSchool } from '../events/school.ts'

// A process of test/faults/events-writer-killed.faults.ts: saves an invoice and a dog in each transaction, for as long as it
// lives, and says so once that is committed. Some are nested, some have several events, some go through a session.

const { URL = '', RUN = '0', ORDERING = 'watermark', NAME = 'killed' } = process.env
const app = Fastify()
await app.register(sqlAssist, {
  engines: { writer: { orm: defineConfig({ clientUrl: URL, entities: [Invoice] }) } },
})
const school = new TrainingSchool({
  on: app.sqlAssist.engines.get('writer'),
  aggregates: [Dog],
  name: NAME,
  ordering: ORDERING as 'watermark' | 'strict',
  snapshotEvery: 2,
})
await Promise.all(
  [0, 1, 2].map(async writer => {
    for (let n = 0; ; n++) {
      const name = `${RUN}-${writer}-${n}`
      if (writer === 2) {
        await app.sqlAssist.run(async db => {
          db.writer.create(Invoice, { dog: name })
          await school.at(db.writer).register(name)
        })
      } else {
        await school.transaction(async session => {
          session.persist(session.create(Invoice, { dog: name }))
          if (n % 3 === 0) await session.flush()
          const dog = Dog.register(name)
          if (n % 2 === 0) dog.addTrick('sit')
          if (writer === 0) await school.save(dog)
          else await school.transaction(() => school.save(dog))
        })
      }
      // At once: what is committed has been said before anything else can happen.
      writeSync(1, `${name}\n`)
    }
  }),
)
