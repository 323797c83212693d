import { defineConfig, defineEntity, p } from '@mikro-orm/sqlite'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import sqlAssist, { type EngineOptions } from '../../src/index.ts'

const Thing = defineEntity({ name: 'Thing', properties: { id: p.integer().primary() } })

async function engineOf(t: Test, options: Partial<EngineOptions>) {
  const app = Fastify()
  t.teardown(() => app.close())
  const orm = defineConfig({ dbName: ':memory:', entities: [Thing] })
  await app.register(sqlAssist, { engines: { writer: { orm, ...options } as EngineOptions } })
  const engine = app.sqlAssist.engines.get('writer')
  const tables = async () =>
    (await engine.orm.em.fork().execute("select name from sqlite_master where name = 'thing'")).length
  return { engine, tables }
}

t.test('SQLASSIST_NO_CREATE_ALL switches createAll off', async t => {
  t.teardown(() => {
    delete process.env.SQLASSIST_NO_CREATE_ALL
  })
  for (const [value, expected] of [
    ['1', 0],
    ['0', 1],
    ['', 1],
    [undefined, 1],
  ] as const) {
    if (value === undefined) delete process.env.SQLASSIST_NO_CREATE_ALL
    else process.env.SQLASSIST_NO_CREATE_ALL = value
    const { tables } = await engineOf(t, { createAll: true })
    t.equal(await tables(), expected, `SQLASSIST_NO_CREATE_ALL=${value}`)
  }
})

t.test('an engine creates its missing tables when it is told to, and says what it would do', async t => {
  const { engine, tables } = await engineOf(t, {})
  t.match(await engine.createMissingTables({ dryRun: true }), /^create table `thing`/)
  t.equal(await tables(), 0)
  t.match(await engine.createMissingTables(), /^create table `thing`/)
  t.equal(await tables(), 1)
  t.equal(await engine.createMissingTables(), '')
})

t.test('a read-only engine creates nothing', async t => {
  const { engine } = await engineOf(t, { readOnly: true })
  await t.rejects(engine.createMissingTables(), { code: 'SQLA_ERR_READ_ONLY' })
})
