import { defineConfig, MikroORM } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import sqlAssist from '../../src/index.ts'
import { testDatabase } from '../support/cluster.ts'

// PostgreSQL dooms a transaction with the first statement that fails; the session must not lose sight of that.

const database = await testDatabase(t)
await database.sql('create table item (name text unique)')

interface Scene {
  readonly app: FastifyInstance
  readonly warnings: string[]
}

async function scene(t: Test, pool: { min: number; max: number } = { min: 1, max: 1 }): Promise<Scene> {
  const warnings: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: line => void warnings.push(line) } } })
  t.teardown(() => app.close())
  await app.register(sqlAssist, {
    engines: {
      writer: {
        orm: defineConfig({
          clientUrl: database.superUrl,
          entities: [],
          discovery: { warnWhenNoEntities: false },
          pool,
        }),
      },
    },
  })
  return { app, warnings }
}

for (const [name, before] of [
  ['the first statement', []],
  ['a later statement', ["insert into item values ('before')"]],
] as const) {
  t.test(`an error of ${name} that is swallowed makes COMMIT fail, and saves nothing`, async t => {
    const { app, warnings } = await scene(t)
    const work = app.sqlAssist.run(async ({ writer }) => {
      for (const sql of before) await writer.execute(sql)
      await t.rejects(writer.execute('select 1/0'), /division by zero/)
      await t.rejects(writer.execute("insert into item values ('after')"), { code: '25P02' })
    })
    await t.rejects(work, { code: 'SQLA_ERR_COMMIT_ROLLED_BACK', message: /'writer'/ })
    t.same(await database.sql('select * from item'), [])
    await app.sqlAssist.run(async ({ writer }) => writer.execute('select 1'))
    t.same(warnings, [], 'and the connection went back clean')
    t.equal(app.sqlAssist.engines.get('writer').figures.idle, 1, 'the same one')
  })
}

t.test('the position of an error is that in the statement of the caller', async t => {
  const { app } = await scene(t)
  const plain = await MikroORM.init({
    clientUrl: database.superUrl,
    entities: [],
    discovery: { warnWhenNoEntities: false },
  })
  t.teardown(() => plain.close(true))
  const positionOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'no error',
      error => error.position,
    )
  const sql = 'select a from b where c'
  const expected = await positionOf(plain.em.fork().execute(sql))
  const ours = await positionOf(app.sqlAssist.run(({ writer }) => writer.execute(sql)))
  t.match(expected, /^\d+$/)
  t.equal(ours, expected)
})

t.test('when BEGIN itself fails, the next statement does not run outside a transaction', async t => {
  const { app } = await scene(t)
  // A snapshot that does not exist: `set transaction snapshot` is a part of how this transaction begins.
  const engine = app.sqlAssist.engines.get('writer')
  await app.sqlAssist.run(
    async ({ writer }) => {
      const begin = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(engine), 'begin')
      Object.defineProperty(engine, 'begin', {
        value: ['begin isolation level nonsense'],
        configurable: true,
      })
      await t.rejects(writer.execute("insert into item values ('outside')"), /syntax error/)
      t.equal(engine.figures.used, 0, 'the connection went back')
      Object.defineProperty(engine, 'begin', begin ?? {})
      await writer.execute("insert into item values ('inside')")
      t.same(await database.sql('select * from item'), [], 'it began again')
    },
    { commitMode: 'manual' },
  )
  t.same(await database.sql('select * from item'), [])
})
