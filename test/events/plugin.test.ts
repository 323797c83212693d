import { defineConfig as sqliteConfig } from '@mikro-orm/sqlite'
import Fastify from 'fastify'
import t from 'tap'
import { Application, type EventsOptions, errors, events } from '../../plugins/events/index.ts'
import sqlAssist from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Dog, Invoice, schoolOn, TrainingSchool } from './school.ts'

// The plugin `events` in an application.

await onEveryBackend(
  t,
  (t, backend) => {
    t.test('app.events is the application, and without a class of its own a plain one', async t => {
      const { app } = await schoolOn(t, backend)
      t.ok(app.events instanceof TrainingSchool)
      t.equal(app.events.options.log, app.log)
      const plain = await schoolOn(t, backend, { application: Application })
      t.notOk(plain.app.events instanceof TrainingSchool)
      await plain.app.events.save(Dog.register('Fido'))
      t.equal((await plain.app.events.repository.get(Dog.idOf('Fido'))).version, 1)
    })

    t.test('request.events is of the class as well, under whatever name request.db has', async t => {
      const { app } = await schoolOn(t, backend, {
        plugin: { requestProperty: 'database', commitMode: 'autocommit' },
        requestProperty: 'database',
        routes(app) {
          app.get('/', async request => {
            await (request.events as TrainingSchool).register('Fido')
            return {
              same: request.events === app.events,
              joined: request.events.options.on === app.events.options.on,
            }
          })
          app.get('/untouched', async () => ({}))
        },
      })
      t.same((await app.inject('/')).json(), { same: false, joined: false })
      t.equal((await app.events.repository.get(Dog.idOf('Fido'))).version, 1)
      t.equal((await app.inject('/untouched')).statusCode, 200)
    })

    t.test('closing the application ends its subscriptions', async t => {
      const { app, school } = await schoolOn(t, backend)
      const subscription = school.subscribe()
      const next = subscription.next()
      await app.close()
      t.same(await next, { done: true, value: undefined })
    })

    t.test('tables are created when asked to, and are not touched when they are there', async t => {
      const { app, school } = await schoolOn(t, backend)
      await school.register('Fido')
      await school.createTables()
      t.equal((await school.get('Fido')).version, 1)
      const again = Fastify()
      t.teardown(() => again.close())
      await again.register(sqlAssist, {
        engines: { main: { orm: backend.options({ entities: [Invoice] }) } },
      })
      await again.register(events, { aggregates: [Dog], engine: 'main', name: 'never_made' })
      await again.ready()
      await t.rejects(again.events.save(Dog.register('Fido')), { name: 'TableNotFoundException' })
      t.ok(app)
    })

    t.test('an engine that only reads gets no tables', async t => {
      const app = Fastify()
      t.teardown(() => app.close())
      await app.register(sqlAssist, {
        engines: { reader: { orm: backend.options({ entities: [Invoice] }), readOnly: true } },
      })
      await t.rejects(
        async () => app.register(events, { aggregates: [Dog], engine: 'reader', createTables: true }),
        errors.SQLA_ERR_EVENTS_STORAGE,
      )
    })

    if (backend.dialect === 'postgresql') {
      t.test('a table of the other ordering is refused at start', async t => {
        const { school } = await schoolOn(t, backend, { ordering: 'strict' })
        const app = Fastify()
        t.teardown(() => app.close().catch(() => {}))
        await app.register(sqlAssist, {
          engines: { writer: { orm: backend.options({ entities: [Invoice] }) } },
        })
        await app.register(events, { aggregates: [Dog], name: school.options.name ?? '' })
        await t.rejects(async () => app.ready(), {
          code: 'SQLA_ERR_EVENTS_STORAGE',
          message: /was made for the ordering 'strict', not 'watermark'/,
        })
      })
    } else {
      t.test("ordering: 'watermark' is refused where there is none", async t => {
        await t.rejects(schoolOn(t, backend, { ordering: 'watermark' }), errors.SQLA_ERR_EVENTS_STORAGE)
      })
    }
  },
  ['PostgreSQL', 'MariaDB', 'SQLite'],
)

t.test('the engine: writer, else the default one, else the one that is named', async t => {
  const orm = () => sqliteConfig({ dbName: ':memory:', entities: [Invoice] })
  const engineOf = async (names: string[], options: { engine?: string } = {}) => {
    const app = Fastify()
    t.teardown(() => app.close())
    const engines = Object.fromEntries(names.map(name => [name, { orm: orm() }]))
    await app.register(sqlAssist, { engines })
    await app.register(events, { aggregates: [Dog], ...options })
    const { on } = app.events.options as { on: { name: string } }
    return on.name
  }
  t.equal(await engineOf(['first', 'writer']), 'writer')
  t.equal(await engineOf(['only']), 'only')
  t.equal(await engineOf(['writer', 'other'], { engine: 'other' }), 'other')
  await t.rejects(engineOf(['writer'], { engine: 'nope' }), { code: 'SQLA_ERR_UNKNOWN_ENGINE' })
  const app = Fastify()
  t.teardown(() => app.close())
  await t.rejects(async () => app.register(events, { aggregates: [Dog] }), {
    code: 'SQLA_ERR_EVENTS_STORAGE',
    message: /register sqlAssist before events/,
  })
})

t.test('options that are none, or wrong, are refused', async t => {
  const wrong: [option: string, options: object][] = [
    ['aggregates', {}],
    ['aggregates', { aggregates: [] }],
    ['aggregates', { aggregates: [{}] }],
    ['aggregates', { aggregates: Dog }],
    ['application', { application: {} }],
    ['engine', { engine: '' }],
    ['createTables', { createTables: 'yes' }],
    ['requestProperty', { requestProperty: 7 }],
    ['name', { name: '' }],
    ['schema', { schema: null }],
    ['ordering', { ordering: 'loose' }],
    ['tables', { tables: 'events' }],
    ['tables.events', { tables: { events: 7 } }],
    ['tables.event', { tables: { event: 'events' } }],
    ['cache', { cache: 100 }],
    ['cache.max', { cache: {} }],
    ['cache.max', { cache: { max: 0 } }],
    ['cache.size', { cache: { max: 1, size: 2 } }],
    ['snapshotEvery', { snapshotEvery: 0 }],
    ['snapshotEvery', { snapshotEvery: 'often' }],
    ['notify', { notify: 1 }],
    ['pollInterval', { pollInterval: 0 }],
    ['pollInterval', { pollInterval: 2 ** 31 }],
    ['compressor', { compressor: { compress() {} } }],
    ['cipher', { cipher: 'aes' }],
    ['transcodings', { transcodings: {} }],
    ['log', { log: console.log }],
    ['on', { on: {} }],
    ['aggregate', { aggregate: Dog }],
    ['__proto__', Object.fromEntries([['__proto__', 1]])],
  ]
  for (const [option, options] of wrong) {
    const app = Fastify()
    const given = { ...(option === 'aggregates' ? {} : { aggregates: [Dog] }), ...options }
    if (option === '__proto__') Object.defineProperty(given, '__proto__', { value: 1, enumerable: true })
    await t.rejects(
      async () => app.register(events, given as EventsOptions),
      { code: 'SQLA_ERR_INVALID_OPTION', message: new RegExp(`: ${option.replace('.', '\\.')} `) },
      option,
    )
    await app.close()
  }
  const unknown = { aggregates: [Dog], aggregate: Dog } as EventsOptions
  await t.rejects(async () => Fastify().register(events, unknown), {
    message:
      /there are: aggregates, application, cache, cipher, compressor, createTables, engine, log, name, notify/,
  })
})
