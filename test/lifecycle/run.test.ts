import { IsolationLevel } from '@mikro-orm/core'
import t from 'tap'
import type { Db } from '../../src/index.ts'
import { requestOf, runOn } from '../../src/index.ts'
import { Audit, audited, committed, createTables, NOTHING, Note, ormConfig, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'

t.test('a scope outside requests', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  const test = await testApp(t, database)
  const { sqlAssist } = test.app
  const failure = new Error('of the work')

  await t.test('commits when its function returns, and answers with what that returned', async t => {
    const note = await sqlAssist.run(db => db.writer.create(Note, { tag: 'returned', body: 'a' }))
    t.type(note.id, 'number')
    t.same(await committed(database, 'returned'), ['a'])
  })

  await t.test('rolls back when its function throws, and throws the same', async t => {
    for (const [tag, fn] of [
      [
        'rejected',
        async (db: Db) => {
          await db.writer.persist(db.writer.create(Note, { tag: 'rejected', body: 'a' })).flush()
          throw failure
        },
      ],
      [
        'thrown',
        (db: Db) => {
          db.writer.create(Note, { tag: 'thrown', body: 'a' })
          throw failure
        },
      ],
    ] as const) {
      await t.rejects(sqlAssist.run(fn), failure)
      t.same(await committed(database, tag), [])
    }
  })

  await t.test('runOn: the same, for who knows an engine and no application', async t => {
    const engine = sqlAssist.engines.get('writer')
    const note = await runOn(engine, async session =>
      session.create(Note, { tag: 'run on', body: 'a' } as never),
    )
    t.type((note as { id: number }).id, 'number')
    await t.rejects(
      runOn(
        engine,
        async session => {
          session.create(Note, { tag: 'run on', body: 'b' } as never)
          await session.flush()
          t.match(sqlAssist.sessions.list(), [{ engine: 'writer', owner: 'a job' }])
          throw failure
        },
        { name: 'a job' },
      ),
      failure,
    )
    t.same(await committed(database, 'run on'), ['a'])
  })

  await t.test('runOn: a transaction on any engine, of the kind that is asked for', async t => {
    const kind =
      "select current_setting('transaction_isolation') as level, " +
      "current_setting('transaction_read_only') as read_only, transaction_timestamp()::text as began"
    type Kind = { level: string; read_only: string; began: string }
    await sqlAssist.engines.add('plain', { orm: ormConfig(database.readerUrl), readOnly: true })
    for (const name of ['plain', 'reader', 'writer', 'logger']) {
      const engine = sqlAssist.engines.get(name)
      const isReader = name === 'plain' || name === 'reader'
      await runOn(
        engine,
        async session => {
          const [first] = await session.execute<Kind[]>(kind)
          const [second] = await session.execute<Kind[]>(kind)
          t.match(first, { level: 'serializable', read_only: 'on' }, name)
          t.equal(first?.began, second?.began, 'one transaction')
        },
        { isolationLevel: IsolationLevel.SERIALIZABLE, readOnly: true },
      )
      await runOn(engine, async session => {
        const [first] = await session.execute<Kind[]>(kind)
        const [second] = await session.execute<Kind[]>(kind)
        // The test's `reader` has snapshots.
        const level = name === 'reader' ? 'repeatable read' : 'read committed'
        t.match(first, { level, read_only: isReader ? 'on' : 'off' }, name)
        t.equal(first?.began, second?.began, 'one transaction')
      })
    }
    for (const name of ['plain', 'logger']) {
      await sqlAssist.run(db =>
        db.get(name).transactional(
          async em => {
            t.match(await em.execute(kind), [
              { level: 'serializable', read_only: name === 'plain' ? 'on' : 'off' },
            ])
          },
          { isolationLevel: IsolationLevel.SERIALIZABLE },
        ),
      )
    }
  })

  await t.test('a scope that comes after the end connects to nothing', async t => {
    const { app } = await testApp(t, database)
    const engine = app.sqlAssist.engines.get('writer')
    await app.close()
    await t.rejects(
      runOn(engine, session => session.execute('select 1')),
      { code: 'SQLA_ERR_CLOSED' },
    )
    t.equal(await engine.orm.em.getConnection().isConnected(), false)
  })

  await t.test('autocommit: every statement stays, whatever becomes of the rest', async t => {
    const work = runOn(
      sqlAssist.engines.get('writer'),
      async session => {
        await session.execute("insert into note (tag, body) values ('by itself', 'a')")
        t.same(await committed(database, 'by itself'), ['a'])
        await session.transactional(async em => {
          await em.execute("insert into note (tag, body) values ('by itself', 'b')")
          throw failure
        })
      },
      { autocommit: true },
    )
    await t.rejects(work, failure)
    t.same(await committed(database, 'by itself'), ['a'])
  })

  await t.test('rejects when COMMIT fails', async t => {
    const events: string[] = []
    const work = sqlAssist.run(db => {
      db.onCommit(() => events.push('commit'))
      db.onRollback(() => events.push('rollback'))
      db.writer.create(Note, { tag: 'refused', body: 'refused' })
    })
    await t.rejects(work, { code: '23514' })
    t.same(events, ['rollback'])
    t.same(await committed(database, 'refused'), [])
  })

  await t.test('commits only by hand in manual mode', async t => {
    await sqlAssist.run(
      async db => {
        db.writer.create(Note, { tag: 'manual', body: 'by hand' })
        await db.commit()
        await db.writer.persist(db.writer.create(Note, { tag: 'manual', body: 'not' })).flush()
      },
      { commitMode: 'manual' },
    )
    t.same(await committed(database, 'manual'), ['by hand'])
  })

  await t.test('keeps the line of the logger when its function throws', async t => {
    const work = sqlAssist.run(async db => {
      await db.logger.persist(db.logger.create(Audit, { tag: 'run' })).flush()
      throw failure
    })
    await t.rejects(work, failure)
    t.equal(await audited(database, 'run'), 1)
  })

  await t.test('is a scope of its own inside of another one', async t => {
    await sqlAssist.run(async outer => {
      outer.writer.create(Note, { tag: 'nested', body: 'outer' })
      await outer.writer.flush()
      await sqlAssist.run(async inner => {
        t.not(inner.writer, outer.writer)
        t.equal(await inner.writer.count(Note, { tag: 'nested' }), 0)
        inner.writer.create(Note, { tag: 'nested', body: 'inner' })
      })
      const failing = sqlAssist.run(inner => {
        inner.writer.create(Note, { tag: 'nested', body: 'failing' })
        throw failure
      })
      await t.rejects(failing, failure)
    })
    t.same((await committed(database, 'nested')).toSorted(), ['inner', 'outer'])
  })

  await t.test('is closed afterwards', async t => {
    const kept: Db[] = []
    await sqlAssist.run(async db => {
      kept.push(db)
      await db.writer.find(Note, {})
    })
    await t.rejects(
      sqlAssist.run(db => Promise.reject(kept.push(db) && db.writer && failure)),
      failure,
    )
    for (const db of kept) {
      t.match(db.status, { writer: 'END', reader: 'INIT' })
      await t.rejects(db.writer.find(Note, {}), { code: 'SQLA_ERR_SESSION_CLOSED', message: 'run()' })
      t.throws(() => db.reader, { code: 'SQLA_ERR_SESSION_CLOSED' })
    }
  })

  await t.test('shows itself and its request while it lasts', async t => {
    const request = { headers: {} }
    await sqlAssist.run(
      async db => {
        await db.writer.find(Note, {})
        t.match(sqlAssist.sessions.list(), [{ engine: 'writer', owner: 'the nightly job', holding: true }])
        t.match(sqlAssist.sessions, { scopes: 1, open: 1, holding: 1 })
        t.equal(requestOf(db.writer), request)
      },
      { name: 'the nightly job', request },
    )
  })

  t.same(await test.remains(), NOTHING)
})
