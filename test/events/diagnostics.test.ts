import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import {
  Application,
  type EventsMessage,
  emmettEventStore,
  Outbox,
  ProcessApplication,
  type SubscriptionMessage,
} from '../../plugins/events/index.ts'
import type { EngineOptions } from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Account, type Bank, followedApp, until } from './followed-app.ts'
import { Dog, Invoice, schoolOn, type TrainingSchool } from './school.ts'

// What is told on the channels `sqlassist:events` and `sqlassist:subscription`.

/** Hears a channel until `t` ends. */
function hear<Message>(t: Test, name: string, source: () => object): Message[] {
  const heard: Message[] = []
  const listener = (message: unknown) => {
    if ((message as { source: object }).source === source()) heard.push(message as Message)
  }
  subscribe(name, listener)
  t.teardown(() => unsubscribe(name, listener))
  return heard
}

class Mirror extends ProcessApplication<typeof Account> {
  override policy() {}
}

/** An application in tables of its own. */
const OWN = { aggregates: [Dog], name: 'own' }

/** What somebody who follows has said, without what it said twice. */
const said = (heard: readonly SubscriptionMessage[], name: string) =>
  heard
    .filter(message => message.name === name)
    .map(({ state, position, error }) => [state, position, ...(error === undefined ? [] : [error])])

await onEveryBackend(t, async (t, backend) => {
  t.test('events that a request records are told, without what is in them', async t => {
    const requests: unknown[] = []
    const routes = (app: FastifyInstance) => {
      app.post<{ Params: { name: string } }>('/dogs/:name', async request => {
        requests.push(request)
        const school = request.events as TrainingSchool
        await school.register(request.params.name)
        await school.addTrick(request.params.name, 'secret trick')
        return {}
      })
      app.post<{ Params: { name: string } }>('/session/:name', async request => {
        requests.push(request)
        const school = new Application({ ...OWN, on: request.db.writer })
        await school.save(Dog.register(request.params.name))
        return {}
      })
      app.post<{ Params: { name: string } }>('/second/:name', async request => {
        const school = new Application({ ...OWN, on: request.db.get('second') })
        await school.save(Dog.register(request.params.name))
        return {}
      })
      app.post('/nothing', async request => {
        await request.events.save()
        return {}
      })
    }
    const { app, school } = await schoolOn(t, backend, { plugin: { commitMode: 'autocommit' }, routes })
    const heard = hear<EventsMessage>(t, 'sqlassist:events', () => app.sqlAssist)
    const post = async (url: string) =>
      t.equal((await app.inject({ method: 'POST', url })).statusCode, 200, url)
    await post('/dogs/Rex')
    const originatorId = Dog.idOf('Rex')
    t.same(
      heard.map(({ engine, events }) => [engine, events]),
      [
        ['writer', [{ topic: 'Dog.Registered', originatorId, originatorVersion: 1 }]],
        ['writer', [{ topic: 'Dog.TrickAdded', originatorId, originatorVersion: 2 }]],
      ],
    )
    for (const { request } of heard) t.equal(request, requests[0])
    heard.length = 0
    const own = new Application({ ...OWN, on: app.sqlAssist.engines.get('writer') })
    t.teardown(() => own.close())
    await own.createTables()
    await post('/session/Rex')
    t.match(heard, [{ engine: 'writer', request: requests[1], events: [{ topic: 'Dog.Registered' }] }])
    await app.sqlAssist.engines.add('second', {
      orm: backend.options({ entities: [Invoice] }),
    } as EngineOptions)
    heard.length = 0
    await post('/second/Lassie')
    t.match(heard, [{ engine: 'second', events: [{ originatorId: Dog.idOf('Lassie') }] }])
    heard.length = 0
    for (const [name, request] of [
      ['Bello', {}],
      ['Bruno', { server: Fastify() }],
    ] as const) {
      await app.sqlAssist.run(
        async db => {
          await new Application({ ...OWN, on: db.writer }).save(Dog.register(name))
        },
        { request },
      )
    }
    t.same(heard, [], 'of a session of which nothing is known it is not told whose they are')
    await post('/nothing')
    t.same(heard, [])
    await school.register('Fido')
    t.match(heard, [{ engine: 'writer', request: undefined, events: [{ topic: 'Dog.Registered' }] }])
    heard.length = 0
    await app.sqlAssist.run(async db => {
      await emmettEventStore(school.at(db.writer)).appendToStream('cart-1', [
        { type: 'Opened', data: { secret: 'pw-4711' } },
      ])
    })
    t.match(heard, [
      { engine: 'writer', request: undefined, events: [{ topic: 'Opened', originatorVersion: 1 }] },
    ])
    heard.length = 0
    await t.rejects(school.register('Fido'), { code: 'SQLA_ERR_VERSION_CONFLICT' })
    t.same(heard, [], 'what could not be inserted is not told')
  })

  t.test('whoever follows a log says how it is', async t => {
    const { app, bank, engine, counting } = await followedApp(t, backend)
    const heard = hear<SubscriptionMessage>(t, 'sqlassist:subscription', () => app.sqlAssist)
    const { runner, projection, another } = await counting(t)
    await runner.start()
    await until(() => runner.status.state === 'running', 'it runs')
    const name = projection.trackingName
    t.same(said(heard, name), [
      ['waiting', undefined],
      ['running', '0'],
    ])
    if (backend.dialect === 'postgresql') {
      const standby = another()
      await standby.start()
      t.same(said(heard, name).at(-1), ['waiting', undefined], 'somebody else has been elected')
      await standby.stop()
      t.same(said(heard, name).at(-1), ['stopped', undefined])
    }
    heard.length = 0
    const settled = await saved(bank)
    await runner.wait(settled, { timeout: 20_000 })
    await until(() => said(heard, name).at(-1)?.[1] === String(settled), 'it says that it has moved')
    await runner.stop()
    t.same(said(heard, name).at(-1), ['stopped', String(settled)])
    t.ok(heard.every(({ error }) => error === undefined))

    const books = new Mirror({ on: engine, aggregates: [Account], name: 'mirror' })
    t.teardown(() => books.close())
    await books.createTables()
    const follower = books.follow(bank, { name: 'mirror of the bank' })
    await follower.start()
    await until(
      () => said(heard, follower.name).at(-1)?.[1] === String(settled),
      'a process application, too',
    )
    await follower.stop()
    t.same(said(heard, follower.name)[0], ['waiting', undefined])
    t.same(said(heard, follower.name).at(-1), ['stopped', String(settled)])
  })

  t.test('errors are told, without passwords', async t => {
    const { app, bank, counting } = await followedApp(t, backend)
    const heard = hear<SubscriptionMessage>(t, 'sqlassist:subscription', () => app.sqlAssist)
    await saved(bank)
    const failures = [
      new RangeError('cannot reach amqp://app:s3cret@broker'),
      new AggregateError([new Error('refused')]),
    ]
    const outbox = new Outbox({
      application: bank,
      name: 'broker',
      publish: () => {
        const failure = failures.shift()
        if (failure !== undefined) throw failure
      },
    })
    t.teardown(() => outbox.stop())
    await outbox.start()
    await outbox.wait(await bank.settled(), { timeout: 20_000 })
    t.same(
      said(heard, 'broker').filter(([, , error]) => error !== undefined),
      [
        ['waiting', '0', 'cannot reach amqp://***@broker'],
        ['waiting', '0', 'AggregateError'],
      ],
    )
    await until(() => said(heard, 'broker').at(-1)?.[0] === 'running', 'it goes on')
    const { runner, projection } = await counting(t, {
      handle: () => {
        throw new RangeError('password=s3cret')
      },
    })
    await runner.start()
    await t.rejects(runner.done)
    const [state, , error] = said(heard, projection.trackingName).at(-1) ?? []
    t.equal(state, 'failed')
    t.match(error, 'password=***')
    t.notMatch(JSON.stringify(heard), 's3cret')
    await runner.stop()
  })
})

/** Some events. @returns the position of the last */
async function saved(bank: Bank): Promise<number> {
  await bank.busy(3)
  return bank.settled()
}
