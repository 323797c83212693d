import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { afterCommit, type Db } from '../../src/index.ts'
import { createTables, Note, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'

// What is registered to follow a session's commit.

const db = await testDatabase(t)
await createTables(db)

interface Told {
  readonly run: <T>(fn: (db: Db, told: string[]) => Promise<T>, options?: object) => Promise<T>
  readonly told: string[]
}

async function start(t: Test): Promise<Told> {
  const { app } = await testApp(t, db)
  const told: string[] = []
  return { told, run: (fn, options) => app.sqlAssist.run(scope => fn(scope, told), options) }
}

/** How many notes another connection sees. */
async function seen(tag: string): Promise<number> {
  const [row] = await db.sql<{ n: number }>('select count(*)::int as n from note where tag = $1', [tag])
  return row?.n ?? -1
}

t.test('it runs once the transaction is committed, not before', async t => {
  const { run, told } = await start(t)
  await run(async ({ writer }) => {
    writer.create(Note, { tag: 'a', body: 'x' } as never)
    t.equal(
      afterCommit(writer, () => told.push('committed')),
      'session',
    )
    await writer.flush()
    await sleep(20)
    t.same(told, [])
  })
  t.same(told, ['committed'])
  t.equal(await seen('a'), 1)
})

t.test('em.commit() and db.commit() count, once each', async t => {
  const { run, told } = await start(t)
  await run(async db => {
    for (const commit of [() => db.writer.commit(), () => db.commit()]) {
      db.writer.create(Note, { tag: 'b', body: 'x' } as never)
      afterCommit(db.writer, () => told.push('committed'))
      await commit()
    }
    t.same(told, ['committed', 'committed'])
  })
  t.same(told, ['committed', 'committed'])
})

t.test('what is rolled back, fails at COMMIT or is never committed tells nobody', async t => {
  const { run, told } = await start(t)
  const save = (body: string) => async (db: Db) => {
    db.writer.create(Note, { tag: 'c', body } as never)
    await db.writer.flush()
    afterCommit(db.writer, () => told.push(body))
  }
  await run(async db => {
    await save('rolled back')(db)
    await db.writer.rollback()
    await save('kept')(db)
  })
  await t.rejects(run(save('refused')), { message: /refused at commit/ })
  await run(save('forgotten'), { commitMode: 'manual' })
  t.same(told, ['kept'])
  t.equal(await seen('c'), 1)
})

t.test('inside a savepoint it hangs on the session, and says so', async t => {
  const { run, told } = await start(t)
  await run(async ({ writer }) => {
    await writer.transactional(async em => {
      t.equal(
        afterCommit(em as typeof writer, () => told.push('committed')),
        'savepoint',
      )
      await em.execute("insert into note (tag, body) values ('d', 'x')")
    })
    t.same(told, [])
  })
  t.same(told, ['committed'])
})

t.test(
  'of an autocommit engine all is committed already; of a foreign EntityManager nobody knows',
  async t => {
    const { run, told } = await start(t)
    await run(async ({ logger, writer }) => {
      afterCommit(logger, () => told.push('at once'))
      t.same(told, ['at once'])
      t.equal(
        afterCommit(writer.fork(), () => told.push('never')),
        undefined,
      )
    })
    t.same(told, ['at once'])
  },
)
