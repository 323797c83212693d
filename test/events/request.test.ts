import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { Application, OriginatorVersionConflictError } from '../../plugins/events/index.ts'
import type { SqlAssistOptions } from '../../src/index.ts'
import { eventually } from '../support/app.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Dog, Invoice, type School, schoolOn, type TrainingSchool } from './school.ts'

// request.events: the request's own transaction, that somebody else commits.

interface Params {
  readonly name: string
}

/** No two tests use the same dogs, as invoices are in one table. */
let dogs = 0
const newDog = (): string => `dog-${++dogs}`

/** The flows of the README: each is a route. */
function routes(app: FastifyInstance): void {
  const schoolOf = (request: { events: unknown }) => request.events as TrainingSchool
  app.post('/dogs/:name', async request => {
    const { name } = request.params as Params
    request.db.writer.create(Invoice, { dog: name })
    await schoolOf(request).register(name)
    const once = request.events
    return { tricks: await schoolOf(request).tricks(name), same: once === request.events }
  })
  app.get('/dogs/:name', async request => ({
    tricks: await schoolOf(request).tricks((request.params as Params).name),
  }))
  app.post('/commits/:name', async request => {
    await schoolOf(request).register((request.params as Params).name)
    await request.db.commit()
    return {}
  })
  app.post('/throws/:name', async request => {
    const { name } = request.params as Params
    request.db.writer.create(Invoice, { dog: name })
    await schoolOf(request).register(name)
    await schoolOf(request).tricks(name)
    throw new TypeError('An error occurred!!!')
  })
  app.post('/refuses/:name', async (request, reply) => {
    await schoolOf(request).register((request.params as Params).name)
    return reply.code(422).send({})
  })
  app.post('/nested/:name', async request => {
    const { name } = request.params as Params
    const school = schoolOf(request)
    request.db.writer.create(Invoice, { dog: name })
    await school
      .transaction(async session => {
        session.persist(session.create(Invoice, { dog: `${name}-undone` }))
        await school.register(`${name}-undone`)
        await session.flush()
        throw new TypeError('this one not')
      })
      .catch(() => {})
    await school.transaction(async session => {
      session.persist(session.create(Invoice, { dog: `${name}-inner` }))
      await school.register(`${name}-inner`)
    })
    await school.register(name)
    return {}
  })
  app.post('/audit/:name', async request => {
    const { name } = request.params as Params
    await schoolOf(request).register(name)
    await (app.events as TrainingSchool).register(`${name}-audit`)
    throw new TypeError('the audit stays')
  })
  app.post('/conflict/:name', async request => {
    const { name } = request.params as Params
    const school = schoolOf(request)
    const dog = await school.get(name)
    request.db.writer.create(Invoice, { dog: `${name}-loser` })
    await (app.events as TrainingSchool).addTrick(name, 'quicker')
    dog.addTrick('slower')
    await school.save(dog)
    return {}
  })
}

async function served(
  t: Test,
  backend: Parameters<typeof schoolOn>[1],
  plugin: Partial<SqlAssistOptions> = { commitMode: 'autocommit' },
) {
  const scene = await schoolOn(t, backend, { plugin, routes })
  const ask = async (method: 'GET' | 'POST', url: string) => {
    const response = await scene.app.inject({ method, url })
    return { status: response.statusCode, body: response.json() }
  }
  return { ...scene, ask, atRest: (t: Test) => atRest(t, scene) }
}

async function atRest(t: Test, { app }: School): Promise<void> {
  // Sessions are closed when the answer is out.
  t.ok(await eventually(() => app.sqlAssist.engines.get('writer').figures.used === 0))
  t.equal(app.sqlAssist.sessions.open, 0)
}

await onEveryBackend(t, (t, backend) => {
  t.test('what a request saves is committed with it, and the next one finds it', async t => {
    const { ask, invoiced, atRest } = await served(t, backend)
    const name = newDog()
    t.match(await ask('POST', `/dogs/${name}`), { status: 200, body: { tricks: [], same: true } })
    t.match(await ask('GET', `/dogs/${name}`), { status: 200, body: { tricks: [] } })
    t.same(await invoiced(), [name])
    await atRest(t)
  })

  t.test('with commitMode manual, a forgotten commit leaves nothing', async t => {
    const { ask, invoiced, atRest } = await served(t, backend, { commitMode: 'manual' })
    const [forgotten, committed] = [newDog(), newDog()]
    t.equal((await ask('POST', `/dogs/${forgotten}`)).status, 200)
    t.match(await ask('GET', `/dogs/${forgotten}`), {
      status: 404,
      body: { code: 'SQLA_ERR_AGGREGATE_NOT_FOUND' },
    })
    t.equal((await ask('POST', `/commits/${committed}`)).status, 200)
    t.equal((await ask('GET', `/dogs/${committed}`)).status, 200)
    t.same(await invoiced(), [])
    await atRest(t)
  })

  t.test('a request that throws, or refuses, leaves neither entities nor events', async t => {
    const { ask, invoiced, registered, atRest } = await served(t, backend)
    const name = newDog()
    t.equal((await ask('POST', `/throws/${name}`)).status, 500)
    t.equal((await ask('GET', `/dogs/${name}`)).status, 404)
    t.equal((await ask('POST', `/refuses/${name}`)).status, 422)
    t.equal((await ask('GET', `/dogs/${name}`)).status, 404)
    t.same(await invoiced(), [])
    t.same(await registered(), [])
    await atRest(t)
  })

  t.test('request.events.transaction is a savepoint of the request', async t => {
    const { ask, invoiced, registered, atRest } = await served(t, backend)
    const name = newDog()
    t.equal((await ask('POST', `/nested/${name}`)).status, 200)
    t.same((await invoiced()).sort(), [name, `${name}-inner`])
    t.same((await registered()).sort(), [name, `${name}-inner`])
    await atRest(t)
  })

  // Elsewhere it would wait for the request, which has the lock on the numbers of the events.
  if (backend.dialect === 'postgresql') {
    t.test('app.events in a request is a transaction of its own', async t => {
      const { ask, registered, atRest } = await served(t, backend)
      const name = newDog()
      t.equal((await ask('POST', `/audit/${name}`)).status, 500)
      t.same(await registered(), [`${name}-audit`])
      await atRest(t)
    })

    t.test('whoever is slower answers 409, and nothing of him is there', async t => {
      const { ask, invoiced, school, atRest } = await served(t, backend)
      const name = newDog()
      await school.register(name)
      t.match(await ask('POST', `/conflict/${name}`), {
        status: 409,
        body: { code: 'SQLA_ERR_VERSION_CONFLICT' },
      })
      t.same(await invoiced(), [])
      t.same(await school.tricks(name), ['quicker'])
      await atRest(t)
    })
  }

  if (backend.dialect === 'sqlite') {
    t.test('app.events in a request that has the only connection does not wait for ever', async t => {
      const { app } = await schoolOn(t, backend, {
        plugin: { commitMode: 'autocommit' },
        writer: { acquireTimeout: 100 },
        routes(app) {
          app.post('/', async request => {
            await (request.events as TrainingSchool).register('mine')
            return (app.events as TrainingSchool).tricks('mine')
          })
        },
      })
      const response = await app.inject({ method: 'POST', url: '/' })
      t.match([response.statusCode, response.json()], [503, { code: 'SQLA_ERR_POOL_TIMEOUT' }])
    })
  }

  t.test('sessions of the application itself: never begun, committed or closed for it', async t => {
    const { school, registered } = await served(t, backend)
    const orm = await backend.orm(t, { entities: [Invoice] })
    const [mine, other] = [newDog(), newDog()]
    const em = orm.em.fork() as never as Parameters<Application['at']>[0]
    await em.begin()
    const own = school.at(em)
    await own.register(mine)
    t.same(await own.tricks(mine), [])
    t.ok(em.isInTransaction())
    await em.rollback()
    t.same(await registered(), [])
    await em.transactional(async inner => {
      await school.at(inner as typeof em).register(mine)
    })
    await school.at(em).register(other)
    t.same((await registered()).sort(), [mine, other].sort(), 'without a transaction each call is one')
    const alone = new Application({ on: em, aggregates: [Dog], name: school.options.name ?? '' })
    t.equal((await alone.repository.get(Dog.idOf(mine))).version, 1)
    t.throws(() => alone.subscribe(), { code: 'SQLA_ERR_EVENTS_STORAGE' })
    t.throws(() => alone.settled(), { code: 'SQLA_ERR_EVENTS_STORAGE' })
    await alone.close()
  })

  t.test('on an autocommit engine several statements are one transaction all the same', async t => {
    const { app, school } = await schoolOn(t, backend, {
      plugin: { commitMode: 'autocommit' },
      writer: { autocommit: true },
      snapshotEvery: 1,
      routes(app) {
        app.post('/:name', async request => {
          const school = request.events as TrainingSchool
          const dogs = ['a', 'b'].map(letter => Dog.register(`${(request.params as Params).name}-${letter}`))
          await school.save(...dogs)
          throw new TypeError('too late')
        })
      },
    })
    const name = newDog()
    t.equal((await app.inject({ method: 'POST', url: `/${name}` })).statusCode, 500)
    t.equal((await school.get(`${name}-a`)).version, 1, 'committed at once')
    const [table] = [school.recorder.tables.snapshots.sql]
    await app.sqlAssist.engines.get('writer').orm.em.fork().execute(`drop table ${table}`)
    await t.rejects(school.save(Dog.register(`${name}-c`)))
    await t.rejects(
      app.sqlAssist.run(async db => school.at(db.writer).save(Dog.register(`${name}-c`))),
      { name: 'TableNotFoundException' },
    )
    t.equal(await school.recorder.maxNotificationId(), 2, 'no event without its snapshot')
  })
})

t.ok(OriginatorVersionConflictError)
