import t from 'tap'
import type { EmbeddedCluster } from '../../plugins/embedded/index.ts'
import { Note } from '../support/app.ts'
import { allCurrent, replicatedCluster, routedApp, statesBecome } from '../support/routed-app.ts'
import { hear } from './heard.ts'

// What the core tells of the server that a read goes to, and of replicas that come and go.

t.test('where reads go and why, and what becomes of replicas', async t => {
  const cluster = await replicatedCluster(t, 1)
  const [standby] = cluster.replicas as [EmbeddedCluster['replicas'][number]]
  const test = await routedApp(t, cluster, { routing: { wait: 100 } })
  const { sqlAssist } = test.app
  const heard = hear(t, test.app, ['sqlassist:route', 'sqlassist:replica', 'sqlassist:statement:end'])
  const routes = (): string[] =>
    heard.of('sqlassist:route').map(({ server, reason }) => `${server}: ${reason}`)

  await t.test('to a replica, which stays that of the request', async t => {
    await allCurrent(test, cluster)
    heard.forget()
    await sqlAssist.run(async db => {
      await db.reader.count(Note)
      await db.reader.count(Note)
    })
    t.same(routes(), ['replica1: the least busy replica', 'replica1: the replica of this request'])
    t.match(heard.of('sqlassist:statement:end')[0]?.server, {
      name: 'replica1',
      isReplica: true,
      port: Number(new URL(standby.url).port),
    })
    const [connection] = sqlAssist.engines
      .get('reader')
      .connections()
      .filter(({ server }) => server === 'replica1')
    t.match(connection, { processId: Number, inUse: false })
  })

  await t.test('to the primary, when the request has written or says so', async t => {
    heard.forget()
    await sqlAssist.run(async db => {
      db.writer.create(Note, { tag: 'a', body: 'b' })
      await db.writer.flush()
      await db.reader.count(Note)
    })
    await sqlAssist.run(db => db.reader.count(Note), { consistency: 'primary' })
    t.same(routes(), ['primary: this request has written', "primary: consistency is 'primary'"])
    t.match(heard.of('sqlassist:statement:end').at(-1)?.server, { name: 'primary', isReplica: false })
  })

  await t.test('to the primary, when no replica has what the client must see', async t => {
    await allCurrent(test, cluster)
    await standby.pauseReplay()
    const token = await sqlAssist.run(async db => {
      db.writer.create(Note, { tag: 'a', body: 'b' })
      await db.commit()
      return db.token
    })
    heard.forget()
    await sqlAssist.run(db => db.reader.count(Note), { token })
    t.same(routes(), ['primary: no replica has what this client must see'])
    await standby.resumeReplay()
    await allCurrent(test, cluster)
    heard.forget()
    await sqlAssist.run(db => db.reader.count(Note), { token })
    t.same(routes(), ['replica1: the least busy replica that has what this client must see'])
  })

  await t.test('to the primary, when the replica is gone; it is told when it goes and comes', async t => {
    heard.forget()
    await standby.stop()
    await statesBecome(test, { replica1: 'down' })
    await sqlAssist.run(db => db.reader.count(Note))
    t.same(routes(), ['primary: no replica is online'])
    await standby.start()
    await statesBecome(test, { replica1: 'online' })
    const told = heard.of('sqlassist:replica')
    t.match(told[0], { engine: 'reader', replica: 'replica1', from: 'online', to: 'down', reason: String })
    t.match(told.at(-1), { engine: 'reader', replica: 'replica1', to: 'online', reason: undefined })
  })
})
