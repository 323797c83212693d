import { hasSubscribers } from 'node:diagnostics_channel'
import { defineConfig } from '@mikro-orm/sqlite'
import Fastify, { type FastifyInstance } from 'fastify'
import { Counter, Registry, register as sharedRegister } from 'prom-client'
import t, { type Test } from 'tap'
import { metrics, statementLog, tracing } from '../../plugins/diagnostics/index.ts'
import type { DiagnosticMessages } from '../../src/index.ts'
import { sqlAssist } from '../../src/index.ts'

// What the three plugins have in common: options, several applications, and the end of them.

const CHANNELS: Record<keyof DiagnosticMessages, true> = {
  'sqlassist:session:start': true,
  'sqlassist:session:first-sql': true,
  'sqlassist:session:commit': true,
  'sqlassist:session:rollback': true,
  'sqlassist:session:close': true,
  'sqlassist:statement:start': true,
  'sqlassist:statement:end': true,
  'sqlassist:statement:error': true,
  'sqlassist:outcome': true,
  'sqlassist:route': true,
  'sqlassist:replica': true,
  'sqlassist:pool:wait': true,
  'sqlassist:two-phase': true,
  'sqlassist:in-doubt': true,
  'sqlassist:leak': true,
}
const heard = (): string[] => Object.keys(CHANNELS).filter(name => hasSubscribers(name))

/** In an object, as a promise of an application would wait until it is ready. */
async function appOf(t: Test, lines: string[] = []): Promise<{ app: FastifyInstance }> {
  const app = Fastify({ logger: { level: 'debug', stream: { write: (line: string) => lines.push(line) } } })
  t.teardown(() => app.close())
  const orm = defineConfig({ dbName: ':memory:', entities: [], discovery: { warnWhenNoEntities: false } })
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  return { app }
}

async function registered(app: FastifyInstance, plugin: typeof tracing, options: object = {}): Promise<void> {
  await app.register(plugin, options)
}

t.test('a closed application hears nothing any more', async t => {
  t.same(heard(), [])
  const { app } = await appOf(t)
  t.same(heard(), [])
  await app.register(statementLog, { all: true })
  await app.register(tracing)
  await app.register(metrics, { register: new Registry() })
  t.ok(heard().length > 7)
  const { app: other } = await appOf(t)
  await other.register(statementLog)
  await app.close()
  t.ok(heard().length > 0, 'the other one still hears')
  await other.close()
  t.same(heard(), [])
})

t.test('an option that is unknown or wrong is refused, and nothing is heard', async t => {
  for (const [plugin, options, message] of [
    [
      statementLog,
      { slower: 1 },
      'statementLog.slower is not known; there are: all, slowerThan, failedLevel, parameters, maxLength',
    ],
    [statementLog, { all: 1 }, 'statementLog.all must be true or false, not 1'],
    [
      statementLog,
      { slowerThan: -1 },
      'statementLog.slowerThan must be milliseconds, at least 0, or Infinity, not -1',
    ],
    [
      statementLog,
      { slowerThan: Number.NaN },
      'statementLog.slowerThan must be milliseconds, at least 0, or Infinity, not NaN',
    ],
    [
      statementLog,
      { failedLevel: 'loud' },
      "statementLog.failedLevel must be one of fatal, error, warn, info, debug, trace, silent, not 'loud'",
    ],
    [statementLog, { parameters: 'yes' }, "statementLog.parameters must be true or false, not 'yes'"],
    [
      statementLog,
      { maxLength: 0 },
      'statementLog.maxLength must be a number of characters, at least 1, not 0',
    ],
    [tracing, { returnedRows: 1 }, 'tracing.returnedRows must be true or false, not 1'],
    [tracing, { tracer: {} }, 'tracing.tracer is not known; there are: returnedRows'],
    [tracing, { toString: {} }, 'tracing.toString is not known; there are: returnedRows'],
    [metrics, { register: {} }, 'metrics.register must be a Registry of prom-client, not a object'],
    [metrics, { register: null }, 'metrics.register must be a Registry of prom-client, not null'],
    [
      metrics,
      { prefix: 'my-app_' },
      "metrics.prefix must be letters, digits, _ and :, with no digit first, not 'my-app_'",
    ],
    [metrics, { prefix: '' }, "metrics.prefix must be letters, digits, _ and :, with no digit first, not ''"],
  ] as const) {
    const { app } = await appOf(t)
    await t.rejects(registered(app, plugin as typeof tracing, options as object), {
      code: 'SQLA_ERR_INVALID_OPTION',
      message: `Invalid option: ${message}`,
    })
    t.same(heard(), [])
  }
})

t.test('what Fastify adds to options is none of them', async t => {
  const { app } = await appOf(t)
  for (const plugin of [statementLog, tracing]) {
    await registered(app, plugin as typeof tracing, { prefix: '/x', logLevel: 'warn' })
  }
})

t.test('an option that is undefined is as if it were not there', async t => {
  const { app } = await appOf(t)
  await registered(app, statementLog as typeof tracing, { all: undefined, failedLevel: undefined })
  await registered(app, tracing, { returnedRows: undefined })
  await registered(app, metrics as typeof tracing, { register: undefined, prefix: undefined })
  await app.sqlAssist.run(db => db.writer.execute('select 1'))
  t.match(await sharedRegister.metrics(), 'sqlassist_scopes_open 0')
})

t.test('sqlAssist must be registered first', async t => {
  for (const plugin of [statementLog, tracing, metrics]) {
    const app = Fastify()
    await t.rejects(registered(app, plugin as typeof tracing), /fastify-sqlassist/)
  }
})

t.test('two applications do not share the metrics of one register', async t => {
  const { app: first } = await appOf(t)
  const { app: second } = await appOf(t)
  await first.register(metrics)
  const before = await sharedRegister.metrics()
  t.match(before, 'sqlassist_scopes_open 0')
  await t.rejects(registered(second, metrics as typeof tracing), {
    code: 'SQLA_ERR_METRIC_EXISTS',
    message: /'sqlassist_scopes_open'.*`register` or a `prefix`/,
  })
  t.equal(await sharedRegister.metrics(), before, 'those of the first are as they were')
  await second.close()
  t.equal(await sharedRegister.metrics(), before, 'also when the second is closed')

  const { app: third } = await appOf(t)
  await third.register(metrics, { prefix: 'admin_' })
  t.match(await sharedRegister.metrics(), 'admin_scopes_open 0')
  await first.close()
  t.notMatch(await sharedRegister.metrics(), 'sqlassist_')
  t.match(await sharedRegister.metrics(), 'admin_scopes_open 0')
  await third.close()
  t.equal(await sharedRegister.metrics(), '\n')
  const { app: fourth } = await appOf(t)
  await fourth.register(metrics)
  t.match(await sharedRegister.metrics(), 'sqlassist_scopes_open 0', 'the names are free again')
})

t.test("where one of the names is taken, none of the metrics is made, and somebody else's stays", async t => {
  const register = new Registry()
  new Counter({ name: 'sqlassist_leaks_total', help: 'x', registers: [register] })
  const { app } = await appOf(t)
  await t.rejects(registered(app, metrics as typeof tracing, { register }), {
    code: 'SQLA_ERR_METRIC_EXISTS',
  })
  t.same(
    register.getMetricsAsArray().map(({ name }) => name),
    ['sqlassist_leaks_total'],
  )
  t.same(heard(), [])
  const cleared = new Registry()
  const { app: other } = await appOf(t)
  await other.register(metrics, { register: cleared })
  cleared.clear()
  new Counter({ name: 'sqlassist_leaks_total', help: 'x', registers: [cleared] })
  await other.close()
  t.ok(cleared.getSingleMetric('sqlassist_leaks_total'), 'it is not ours')
})

t.test('a figure that cannot be written down is logged, and ends nothing', async t => {
  const register = new Registry()
  const lines: string[] = []
  const { app } = await appOf(t, lines)
  await app.register(metrics, { register })
  const histogram = register.getSingleMetric('sqlassist_statement_duration_seconds') as unknown as {
    observe: unknown
  }
  histogram.observe = () => {
    throw new Error('no')
  }
  t.same(await app.sqlAssist.run(db => db.writer.execute('select 1 as one')), [{ one: 1 }])
  t.match(JSON.parse(lines.at(-1) ?? '{}'), {
    level: 40,
    msg: 'metrics has failed with a message',
    channel: 'sqlassist:statement:end',
    err: { message: 'no' },
  })
})
