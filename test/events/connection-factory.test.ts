import { connect, type Socket } from 'node:net'
import { defineConfig } from '@mikro-orm/postgresql'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { eventually } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { Dog, Invoice, schoolOn, type TrainingSchool } from './school.ts'

// A factory of connections: pg's own option `stream`, which is what connectors of clouds give (`getOptions()` of
// @google-cloud/cloud-sql-connector is `{ stream: () => socket }`). All that talks to the database goes through it.

/** Sockets as a connector makes them: pg calls `connect` on them, which must do nothing any more. */
function connector(url: string) {
  const { hostname, port } = new URL(url)
  const open = new Set<Socket>()
  let made = 0
  const stream = () => {
    const socket = connect(Number(port), hostname)
    open.add(socket)
    made++
    socket.once('close', () => open.delete(socket))
    // The connection is being made already.
    socket.connect = () => socket
    return socket
  }
  return {
    stream,
    get made() {
      return made
    },
    get open() {
      return open.size
    },
  }
}

t.test('requests, transactions and subscriptions go through a factory of connections', async t => {
  const db = await testDatabase(t)
  const factory = connector(db.superUrl)
  // Nobody listens there: whatever is not made by the factory fails.
  const nowhere = new URL(db.superUrl)
  nowhere.hostname = '127.0.0.1'
  nowhere.port = '9'
  const backend = {
    options: (more: object = {}) =>
      defineConfig({
        clientUrl: nowhere.href,
        driverOptions: { stream: factory.stream },
        pool: { min: 0, max: 5 },
        ...more,
      }),
  }
  const { app, school, invoiced } = await schoolOn(t, backend as never, {
    plugin: { commitMode: 'autocommit' },
    // Too long to be waited for: who wakes the subscription is NOTIFY.
    pollInterval: 60_000,
    routes(app: FastifyInstance) {
      app.post('/:name', async request => {
        const { name } = request.params as { name: string }
        request.db.writer.create(Invoice, { dog: name })
        await (request.events as TrainingSchool).register(name)
        return {}
      })
    },
  })
  t.equal((await app.inject({ method: 'POST', url: '/fido' })).statusCode, 200)
  await school.transaction(async session => {
    session.persist(session.create(Invoice, { dog: 'rex' }))
    await school.register('rex')
  })
  t.same(await invoiced(), ['fido', 'rex'])

  const before = factory.made
  const seen: string[] = []
  const subscription = school.subscribe()
  const reading = (async () => {
    for await (const { data } of subscription) seen.push((data as { name: string }).name)
  })()
  t.ok(await eventually(() => seen.length === 2))
  const listeners = () =>
    db.sql("select pid from pg_stat_activity where datname = $1 and query ilike 'listen %'", [db.name])
  t.ok(await eventually(async () => (await listeners()).length === 1))
  t.ok(factory.made > before, 'LISTEN has a connection of its own, of the factory')

  // Another process: only the notification can tell.
  await db.sql('begin')
  const { events, channel } = {
    events: school.recorder.tables.events,
    channel: school.recorder.tables.channel,
  }
  const [copy] = await school.recorder.selectEvents(Dog.idOf('fido'))
  await db.sql(
    `insert into ${events.sql} (originator_id, originator_version, topic, state) values (gen_random_uuid(), 1, $1, $2)`,
    [copy?.topic, copy?.state],
  )
  await db.sql('commit')
  await db.sql(`notify "${channel}"`)
  t.ok(await eventually(() => seen.length === 3))
  await subscription.return()
  await reading

  await app.close()
  t.ok(await eventually(() => factory.open === 0), 'nothing is left open')
})
