import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import { Application } from '../../plugins/events/application.ts'
import { Projection } from '../../plugins/events/projection.ts'
import { ProjectionRunner } from '../../plugins/events/projection-runner.ts'
import sqlAssist from '../../src/index.ts'

// A process of test/faults/events-projector-killed.faults.ts: it counts events, and says when it has begun to.

const { URL = '', ELECT = 'true', BATCH = '100' } = process.env
const app = Fastify()
await app.register(sqlAssist, {
  engines: {
    writer: {
      orm: defineConfig({
        clientUrl: URL,
        entities: [],
        discovery: { warnWhenNoEntities: false },
        pool: { min: 0, max: 4 },
      }),
    },
  },
})
await app.ready()
const application = new Application({ on: app.sqlAssist.engines.get('writer' as never), aggregates: [] })
const runner = new ProjectionRunner({
  application,
  elect: ELECT === 'true',
  batch: Number(BATCH),
  projection: new Projection({
    name: 'counter',
    async create(em) {
      await em.execute('create table counter (counted int not null, total bigint not null)')
      await em.execute('insert into counter values (0, 0)')
    },
    handle: ({ id }, em) => em.execute('update counter set counted = counted + 1, total = total + ?', [id]),
  }),
})
await runner.start()
// Nobody waits for it any more.
process.on('disconnect', () => process.exit())
const timer = setInterval(() => {
  if (runner.status.state !== 'running') return
  process.send?.('running')
  clearInterval(timer)
}, 2)
await runner.done
