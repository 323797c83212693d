import { setTimeout as sleep } from 'node:timers/promises'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { FlagStorage, type FlagsOptions, flags } from '../../plugins/flags/index.ts'
import sqlAssist from '../../src/index.ts'
import { testCluster } from '../support/cluster.ts'

// Flags that are read from a standby, where nobody can write, and nobody can listen.

const cluster = await testCluster(t, { replicas: 1 })
const [standby] = cluster.replicas
if (standby === undefined) throw new Error('there is no standby')

async function appOn(t: Test, clientUrl: string, readOnly: boolean, options: FlagsOptions = {}) {
  const logs: { msg: string }[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: line => logs.push(JSON.parse(line)) } } })
  t.teardown(() => app.close())
  const orm = defineConfig({
    clientUrl,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    logger: () => {},
  })
  const engine = readOnly ? { orm, readOnly } : { orm }
  await app.register(sqlAssist, { engines: { db: engine } })
  await app.register(flags, { engine: 'db', ttl: 50, ...options })
  await app.ready()
  return { app, logs }
}

/** Milliseconds until something is so. */
async function until(is: () => boolean | Promise<boolean>, patience: number): Promise<number> {
  const begin = performance.now()
  while (!(await is())) {
    if (performance.now() - begin > patience) return Number.POSITIVE_INFINITY
    await sleep(5)
  }
  return performance.now() - begin
}

/** How often the standby has refused something. */
async function refusals(what: string): Promise<number> {
  return ((await standby?.log()) ?? '').split(`cannot execute ${what}`).length - 1
}

t.test('flags are read from a standby, by ttl', async t => {
  const { app: writer } = await appOn(t, cluster.primary.url, false, { createTables: true })
  await writer.flags.storage.upsert({ name: 'f', enabled: true })
  await standby.caughtUp()
  const { app, logs } = await appOn(t, standby.url, true)
  t.equal(app.flags.context().isEnabled('f'), true)
  await writer.flags.storage.upsert({ name: 'f', enabled: false }, { author: 'Ann' })
  t.ok((await until(() => app.flags.flags().get('f')?.isEnabled() === false, 2_000)) < 2_000)
  await writer.flags.storage.purge('f')
  t.ok((await until(() => !app.flags.flags().has('f'), 2_000)) < 2_000, 'also that one is gone')
  t.match(await app.flags.storage.history?.('f'), [{ action: 'purged' }, { author: 'Ann' }, {}])
  t.type((await app.flags.storage.usage?.())?.since, 'number')

  await sleep(500)
  t.equal(await refusals('LISTEN'), 1, 'it does not ask again and again whether it may listen')
  t.equal(await refusals('INSERT'), 0, 'nothing is written down')
  await app.close()
  t.equal(await refusals('INSERT'), 0, 'not at the end either')
  t.same(logs, [])
  t.equal(app.flags.stale, false)
})

t.test('nothing can be changed on a standby', async t => {
  const storage = async (readOnly: boolean): Promise<FlagStorage> =>
    (await appOn(t, standby.url, readOnly)).app.flags.storage as FlagStorage
  for (const readOnly of [true, false]) {
    const one = await storage(readOnly)
    await t.rejects(one.createTables(), /read-only|recovery/)
    await t.rejects(one.upsert({ name: 'g' }), /read-only|recovery/)
    await t.rejects(one.purge('g'), /read-only|recovery/)
  }
})

t.test('an engine that does not know that it only reads says so once', async t => {
  const before = await refusals('INSERT')
  const { logs } = await appOn(t, standby.url, false)
  await sleep(500)
  t.same(
    logs.map(({ msg }) => msg),
    ['which flags are asked for could not be written down'],
  )
  t.equal((await refusals('INSERT')) - before, 1)
})

t.test('a standby that is promoted goes on serving', async t => {
  const { app, logs } = await appOn(t, standby.url, true)
  const writer = new FlagStorage({ on: (await appOn(t, standby.url, false)).app.sqlAssist.engines.get('db') })
  await standby.promote()
  await writer.upsert({ name: 'after', enabled: true })
  t.ok((await until(() => app.flags.flags().has('after'), 2_000)) < 2_000)
  t.same(logs, [])
})
