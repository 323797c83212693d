import { setTimeout as sleep } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { Datastore } from '../../plugins/events/datastore.ts'
import sqlAssist, { type SqlEm } from '../../src/index.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'
import { Invoice } from './school.ts'

// When what hangs on a commit is done, and how certain it is.

async function scene(t: Test, backend: TestBackend) {
  const app: FastifyInstance = Fastify()
  t.teardown(() => app.close())
  const orm = () => backend.options({ entities: [Invoice] })
  await app.register(sqlAssist, {
    engines: { writer: { orm: orm() }, logger: { orm: orm(), autocommit: true } },
  })
  const called: string[] = []
  const note = (name: string) => (isCertain: boolean) => called.push(`${name} ${isCertain}`)
  return { app, called, note, store: new Datastore(app.sqlAssist.engines.get('writer')) }
}

const fail = (): never => {
  throw new TypeError('undone')
}

await onEveryBackend(
  t,
  (t, backend) => {
    t.test(
      'on an engine: at once outside a transaction, after the commit in one, never after a rollback',
      async t => {
        const { store, called, note } = await scene(t, backend)
        t.equal(store.afterCommit(note('alone')), true)
        t.same(called.splice(0), ['alone true'])
        t.equal(store.isJoined, false)
        await store.transaction(async session => {
          t.equal(store.isJoined, true)
          t.equal(store.afterCommit(note('outer')), true)
          await store
            .transaction(async () => {
              store.afterCommit(note('undone'))
              await store.transaction(async () => store.afterCommit(note('undone too')))
              fail()
            })
            .catch(() => {})
          await store.transaction(async () => store.afterCommit(note('inner')))
          store.at(session).afterCommit(note('given'))
          await store.together(async () => store.afterCommit(note('together')))
          t.same(called, [])
        })
        t.same(called.splice(0), ['outer true', 'inner true', 'given true', 'together true'])
        await t.rejects(
          store.transaction(async () => {
            store.afterCommit(note('rolled back'))
            fail()
          }),
        )
        t.same(called, [])
      },
    )

    t.test('in a session: with its commit; in its savepoints nobody is certain', async t => {
      const { app, store, called, note } = await scene(t, backend)
      await app.sqlAssist.run(async db => {
        const session = store.at(db.writer)
        t.equal(session.isJoined, true)
        await db.writer.execute('select 1')
        t.equal(session.afterCommit(note('session')), true)
        await db.writer
          .transactional(async em => {
            t.equal(session.afterCommit(note('around')), false)
            t.equal(store.at(em as SqlEm).afterCommit(note('inner')), false)
            fail()
          })
          .catch(() => {})
        await session.transaction(async () => t.equal(session.afterCommit(note('ours')), false))
        t.same(called, [])
      })
      t.same(called.splice(0), ['session true', 'around false', 'inner false', 'ours false'])
      await t.rejects(
        app.sqlAssist.run(async db => {
          await db.writer.execute('select 1')
          store.at(db.writer).afterCommit(note('rolled back'))
          fail()
        }),
      )
      t.same(called, [])
    })

    t.test('several statements beside an open savepoint are not undone with it', async t => {
      const { app, store } = await scene(t, backend)
      const run = (sql: string): Promise<unknown[]> => app.sqlAssist.run(db => db.writer.execute(sql))
      await run('create table beside (id int)')
      await store.transaction(async () => {
        const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
        const undone = store.transaction(async em => {
          await em.execute('insert into beside values (1)')
          begin()
          await sleep(20)
          fail()
        })
        await begun
        const outcomes = await Promise.allSettled([
          undone,
          store.together(em => em.execute('insert into beside values (2)')),
          // Begun while the one before it waits, which waits for this one, too.
          store.transaction(async em => {
            await em.execute('insert into beside values (3)')
            await sleep(20)
            fail()
          }),
        ])
        t.same(
          outcomes.map(({ status }) => status),
          ['rejected', 'fulfilled', 'rejected'],
        )
      })
      t.same(await run('select id from beside'), [{ id: 2 }])
      await run('drop table beside')
    })

    t.test('what a subscriber of the last flush does is part of the transaction', async t => {
      const { app, store, called, note } = await scene(t, backend)
      const { em } = app.sqlAssist.engines.get('writer').orm
      await store.run(one => one.execute('create table invoice (id int primary key, dog varchar(50))'))
      em.getEventManager().registerSubscriber({
        async afterFlush() {
          t.equal(store.isJoined, true)
          store.afterCommit(note('subscriber'))
          fail()
        },
      })
      await t.rejects(
        store.transaction(async session => {
          session.persist(session.create(Invoice, { id: 1, dog: 'never' }))
        }),
        { message: 'undone' },
      )
      t.same(called, [])
    })

    t.test('in a session that commits each statement: at once', async t => {
      const { app, store, called, note } = await scene(t, backend)
      await app.sqlAssist.run(async db => {
        t.equal(store.at(db.logger).afterCommit(note('statement')), true)
        t.same(called.splice(0), ['statement true'])
        await db.logger.transactional(async em => {
          t.equal(store.at(em as SqlEm).afterCommit(note('unit')), false)
        })
        t.same(called.splice(0), ['unit false'])
      })
    })

    t.test("in a session of the application's own nobody tells, so it is at once and uncertain", async t => {
      const { store, called, note } = await scene(t, backend)
      const orm = await backend.orm(t, { entities: [Invoice] })
      await orm.em.fork().transactional(async em => {
        t.equal(store.at(em as SqlEm).afterCommit(note('own')), false)
        t.same(called.splice(0), ['own false'])
      })
      t.same(called, [])
    })
  },
  ['PostgreSQL', 'SQLite'],
)
