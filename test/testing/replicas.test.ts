import t from 'tap'
import { testDb } from '../../plugins/testing/index.ts'
import { Note, ormConfig } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import {
  addNoteRoutes,
  allCurrent,
  databaseOf,
  portOf,
  replicatedCluster,
  routedApp,
} from '../support/routed-app.ts'

t.test(
  'a reader with replicas, or on a standby, reads what the writer of the same test has written',
  async t => {
    const cluster = await replicatedCluster(t, 1)
    const elsewhere = await testDatabase(t)
    const [standby] = cluster.replicas
    const test = await routedApp(t, cluster, { routes: app => addNoteRoutes(app) })
    const { app } = test
    await allCurrent(test, cluster)
    await app.sqlAssist.engines.add('standby', {
      orm: ormConfig(cluster.url('app_reader', standby)),
      readOnly: true,
    })
    const twin = new URL(cluster.primary.url)
    twin.pathname = `/${elsewhere.name}`
    await databaseOf(cluster, t).sql(`create database ${elsewhere.name}`)
    await app.sqlAssist.engines.add('twin', { orm: ormConfig(twin.href), readOnly: true })
    await app.sqlAssist.engines.add('elsewhere', { orm: ormConfig(elsewhere.url), readOnly: true })
    const primary = Number(new URL(cluster.primary.url).port)
    const db = await testDb(app)
    t.equal((await app.inject({ method: 'POST', url: '/notes/shared' })).statusCode, 201)
    t.same((await app.inject('/notes/shared')).json(), { found: true, port: primary })
    await db.run(async session => {
      t.equal(await session.get('standby').count(Note, { tag: 'shared' }), 1)
      t.equal(await portOf(session.get('standby')), primary)
      t.equal(await portOf(session.get('twin')), primary)
      t.not(await portOf(session.get('elsewhere')), primary, 'a database of the same name')
    })
    await db.rollback()
    const { found, port } = (await app.inject('/notes/shared')).json()
    t.notOk(found)
    t.not(port, primary, 'afterwards reads go to replicas again')
    t.same(await databaseOf(cluster, t).sql('select * from note'), [])
  },
)
