import { type AddressInfo, createServer, type Socket } from 'node:net'
import { inspect } from 'node:util'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { sqlAssist } from '../../src/index.ts'
import { eventually, ormConfig } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'

const SECRET = 'pw-4711-secret'

/** Everything that a log or an error page could show of an error. */
function everythingOf(error: unknown): string {
  const texts: string[] = []
  const seen = new Set<unknown>()
  const collect = (value: unknown): void => {
    if (seen.has(value) || (typeof value !== 'object' && typeof value !== 'function') || value === null)
      return
    seen.add(value)
    texts.push(inspect(value, { depth: 12, showHidden: true }))
    try {
      texts.push(JSON.stringify(value, Object.getOwnPropertyNames(value)) ?? '', JSON.stringify(value) ?? '')
    } catch {
      // Cycles: what they hold is collected one by one.
    }
    for (const key of Reflect.ownKeys(value)) {
      const descriptor = Object.getOwnPropertyDescriptor(value, key)
      if (typeof descriptor?.value === 'string') texts.push(descriptor.value)
      else collect(descriptor?.value)
    }
    if (value instanceof Error) texts.push(value.message, value.stack ?? '', String(value))
  }
  collect(error)
  return texts.join('\n')
}

/** Takes connections and never says a word. */
async function silentServer(t: Test): Promise<{ port: number; hangUp(): void }> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => sockets.add(socket.on('error', () => {})))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const hangUp = () => {
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(() => {
    hangUp()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, hangUp }
}

t.test('an engine that cannot start', async t => {
  const database = await testDatabase(t)
  const good = new URL(database.writerUrl)
  const withPassword = (change: (url: URL) => void) => {
    const url = new URL(good)
    url.password = SECRET
    change(url)
    return url.href
  }
  const silent = await silentServer(t)
  const cases: Record<string, string | Parameters<typeof ormConfig>[1]> = {
    'a wrong password': withPassword(() => {}),
    'a server that is down': withPassword(url => {
      url.port = '1'
    }),
    'a database that does not exist': (() => {
      const url = new URL(good)
      url.pathname = '/no_such_database'
      return url.href
    })(),
    'a host that does not exist': withPassword(url => {
      url.hostname = 'no-such-host.invalid'
    }),
    'a URL that is none': `postgres://user:${SECRET}@[half`,
    'a URL with a port that is none': `postgres://user:${SECRET}@127.0.0.1:port/db`,
    'options that cannot be made': {
      driverOptions: () => {
        throw new Error(`no answer from https://app:${SECRET}@vault/?password=${SECRET}`)
      },
    },
    'a server that does not answer': withPassword(url => {
      url.port = String(silent.port)
    }),
  }
  for (const [name, wrong] of Object.entries(cases)) {
    const orm = typeof wrong === 'string' ? ormConfig(wrong) : ormConfig(database.writerUrl, wrong)
    await t.test(`with ${name} is named, and its password is not`, async t => {
      const lines: string[] = []
      const app = Fastify({ logger: { level: 'trace', stream: { write: line => lines.push(line) } } })
      t.teardown(() => app.close())
      app.register(sqlAssist, {
        engines: {
          healthy: { orm: ormConfig(database.writerUrl) },
          culprit: { orm, acquireTimeout: 300 },
        },
      })
      const error: unknown = await Promise.resolve(app.ready()).then(
        () => undefined,
        (failure: unknown) => failure,
      )
      app.log.error({ err: error }, 'could not start')
      t.match(error, { code: 'SQLA_ERR_ENGINE_START', message: /^Engine 'culprit' could not be started: .+/ })
      const text = everythingOf(error) + lines.join('')
      t.notMatch(text, SECRET)
      t.notOk(text.includes(decodeURIComponent(good.password)), 'nor is the one of the healthy engine')
      const none = () =>
        database
          .sql("select 1 from pg_stat_activity where datname = $1 and application_name = 'sqlassist-test'", [
            database.name,
          ])
          .then(rows => rows.length === 0)
      t.ok(await eventually(none), 'the engines that had started are closed')
      silent.hangUp()
    })
  }
})

t.test('an engine that is added later and cannot start leaves the others alone', async t => {
  const database = await testDatabase(t)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sqlAssist, { engines: { writer: { orm: ormConfig(database.writerUrl) } } })
  await app.ready()
  const wrong = new URL(database.writerUrl)
  wrong.password = SECRET
  await t.rejects(app.sqlAssist.engines.add('late', { orm: ormConfig(wrong.href) }), {
    code: 'SQLA_ERR_ENGINE_START',
    message: "Engine 'late'",
  })
  t.same(app.sqlAssist.engines.names(), ['writer'])
  const one = await app.sqlAssist.run(db => db.writer.execute('select 1 as one'))
  t.same(one, [{ one: 1 }])
})
