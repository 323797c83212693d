import t from 'tap'
import { testDb } from '../../plugins/testing/index.ts'
import { Audit, eventually, NOTHING, Note } from '../support/app.ts'
import { audits, notes, sharedApp } from './shared-app.ts'

t.test('requests see what earlier ones have committed, and afterwards nothing has happened', async t => {
  const { app, saved, remains } = await sharedApp(t)
  const db = await testDb(app)
  const created = await app.inject({ method: 'POST', url: '/notes/one' })
  t.equal(created.statusCode, 200)
  t.same((await app.inject('/notes/one')).json(), ['a'], 'through the reader')
  t.same(await notes(db, 'one', 'writer'), ['a'])
  t.same(await notes(db, 'one', 'logger'), ['a'])
  t.same(await saved(), { notes: 0, audits: 0 }, 'others do not')
  t.same(
    [...app.sqlAssist.engines].map(({ figures }) => figures.used),
    [0, 0, 0],
    'sessions hold nothing',
  )
  await db.rollback()
  t.same((await app.inject('/notes/one')).json(), [])
  t.same(await saved(), { notes: 0, audits: 0 })
  await app.inject({ method: 'POST', url: '/notes/kept' })
  t.same(await saved(), { notes: 1, audits: 0 }, 'afterwards requests commit again')
  t.same(await remains(), NOTHING)
})

t.test('a hundred tests in a row leave the tables as they were, and no connection behind', async t => {
  const { app, db, remains } = await sharedApp(t)
  await db.sql("insert into note (tag, body) values ('before', 'b')")
  const before = await db.sql('select *, xmin::text, ctid::text from note')
  const processes = new Set<number | undefined>()
  for (let turn = 0; turn < 100; turn++) {
    await using shared = await testDb(app)
    const url = turn % 3 === 0 ? '/logged/row' : `/notes/row${turn % 3 === 1 ? '?fails=throws' : ''}`
    await app.inject({ method: 'POST', url })
    const seen = await notes(shared, 'row')
    if (seen.length !== (turn % 3 === 1 ? 0 : 1)) t.fail(`test ${turn} sees ${seen}`)
    for (const { processId } of app.sqlAssist.engines.get('writer').connections()) processes.add(processId)
  }
  t.same(await db.sql('select *, xmin::text, ctid::text from note'), before)
  t.same(await db.sql('select * from audit'), [])
  t.equal(processes.size, 1, 'the connection is given back as it was')
  t.same(await remains(), NOTHING)
  const used = [...app.sqlAssist.engines].flatMap(engine => engine.connections()).filter(({ inUse }) => inUse)
  t.same(used, [])
})

t.test('requests that fail leave the shared transaction usable, and nothing in it', async t => {
  const { app, saved } = await sharedApp(t)
  await using db = await testDb(app)
  for (const fails of ['throws', 'constraint']) {
    const { statusCode } = await app.inject({ method: 'POST', url: `/notes/bad?fails=${fails}` })
    t.equal(statusCode, 500, fails)
    t.same(await notes(db, 'bad'), [])
  }
  for (const engine of ['logger', 'writer']) {
    await t.rejects(
      db.run(session => session.get(engine).execute('select nonsense')),
      { code: '42703' },
    )
  }
  t.equal((await app.inject({ method: 'POST', url: '/notes/good' })).statusCode, 200)
  t.same(await notes(db, 'good'), ['a'])
  t.same(await saved(), { notes: 0, audits: 0 })
})

t.test('requests at the same time wait for each other, and each has its own outcome', async t => {
  const { app, saved, remains } = await sharedApp(t)
  const db = await testDb(app)
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      app.inject({
        method: 'POST',
        url: `/notes/many?ms=5&body=${index}${index % 3 === 0 ? '&fails=throws' : ''}`,
      }),
    ),
  )
  t.same(
    answers.map(({ statusCode }) => statusCode),
    Array.from({ length: 12 }, (_, index) => (index % 3 === 0 ? 500 : 200)),
  )
  t.equal((await notes(db, 'many')).length, 8)
  await db.rollback()
  t.same(await saved(), { notes: 0, audits: 0 })
  t.same(await remains(), NOTHING)
})

t.test('what an autocommit engine saves outlives the transaction that was open around it', async t => {
  const { app, saved } = await sharedApp(t)
  await using db = await testDb(app)
  const refused = await app.inject({ method: 'POST', url: '/logged/refused?fails=1' })
  t.equal(refused.statusCode, 409)
  t.same(await notes(db, 'refused'), [])
  t.equal(await audits(db, 'refused'), 2, 'a flush and a statement')
  await app.inject({ method: 'POST', url: '/logged/fine' })
  t.same(await notes(db, 'fine'), ['logged'])
  t.equal(await audits(db, 'fine'), 2)
  t.same(await saved(), { notes: 0, audits: 0 })
})

t.test('a COMMIT that deferred constraints refuse is refused, and later ones are not', async t => {
  const { app, db: database } = await sharedApp(t)
  await database.sql(`create table pair (id int primary key, other int references pair deferrable initially deferred,
    same int references pair deferrable initially immediate);
    create function add_lonely() returns void language sql as 'insert into pair (id, other) values (4, 9)';
    create schema hidden;
    revoke all on schema hidden from public, app_writer;
    create table hidden.pair (id int primary key, other int references hidden.pair deferrable initially deferred)`)
  await using db = await testDb(app)
  const { statusCode } = await app.inject({ method: 'POST', url: '/notes/late?body=refused' })
  t.equal(statusCode, 500)
  t.same(await notes(db, 'late'), [])
  t.equal((await app.inject({ method: 'POST', url: '/notes/late' })).statusCode, 200)
  await db.run(({ writer }) =>
    writer.execute('insert into pair values (1, 2); insert into pair values (2, 1)'),
  )
  await db.run(
    async ({ writer }) => {
      await t.rejects(
        writer.execute('insert into pair (id, same) values (3, 9)'),
        { code: '23503' },
        'at once',
      )
    },
    { commitMode: 'manual' },
  )
  await t.rejects(db.run(({ writer }) => writer.execute('insert into pair (id, other) values (3, 9)')))
  await t.rejects(
    db.run(({ logger }) => logger.execute('insert into pair (id, other) values (3, 9)')),
    { code: '23503' },
    'also outside a transaction',
  )
  await t.rejects(
    db.run(({ logger }) => logger.execute('select add_lonely()')),
    { code: '23503' },
    'and inside a function',
  )
  await db.run(
    async ({ writer, logger }) => {
      await logger.transactional(async em => {
        await em.execute('insert into pair (id, other) values (5, 6)')
        await writer.insert(Note, { tag: 'meanwhile', body: 'a' } as never)
        await writer.commit()
        await em.execute('delete from pair where id = 5')
      })
    },
    { commitMode: 'manual' },
  )
  t.same(await notes(db, 'meanwhile'), ['a'], 'what others have not finished yet may be wrong')
  t.same(await db.run(({ writer }) => writer.execute('select id from pair order by id')), [
    { id: 1 },
    { id: 2 },
  ])
})

t.test('a COMMIT behind a failed statement is answered with ROLLBACK', async t => {
  const { app } = await sharedApp(t)
  await using db = await testDb(app)
  const commit = db.run(async ({ writer }) => {
    await writer.insert(Note, { tag: 'aborted', body: 'a' } as never)
    await writer.execute('select nonsense').catch(() => {})
    await t.rejects(writer.execute('select 1'), { code: '25P02' }, 'nothing more is possible')
  })
  await t.rejects(commit, { code: 'SQLA_ERR_COMMIT_ROLLED_BACK' })
  t.same(await notes(db, 'aborted'), [])
})

t.test('nested transactions and savepoints are rolled back alone', async t => {
  const { app } = await sharedApp(t)
  await using db = await testDb(app)
  await db.run(async ({ writer, logger }) => {
    await writer.insert(Note, { tag: 'nested', body: 'outer' } as never)
    const inner = writer.transactional(async em => {
      await em.insert(Note, { tag: 'nested', body: 'inner' } as never)
      await logger.insert(Audit, { tag: 'nested' } as never)
      await em.execute('select nonsense')
    })
    await t.rejects(inner, { code: '42703' })
    await writer.transactional(em => em.insert(Note, { tag: 'nested', body: 'second' } as never))
    await writer.insert(Note, { tag: 'nested', body: 'last' } as never)
  })
  t.same(await notes(db, 'nested'), ['outer', 'second', 'last'])
  t.equal(await audits(db, 'nested'), 1, 'the logger had committed by itself')
})

for (const sqlComments of [false, true]) {
  t.test(`savepoints are those of the server${sqlComments ? ', with sqlComments' : ''}`, async t => {
    const { app } = await sharedApp(t, {}, { sqlComments })
    await using db = await testDb(app)
    await db.run(async ({ writer }) => {
      const add = (body: string) => writer.insert(Note, { tag: 'own', body } as never)
      const bodies = async () =>
        (await writer.find(Note, { tag: 'own' }, { orderBy: { id: 1 } })).map(({ body }) => body).join()
      await add('a')
      await writer.execute('savepoint One')
      await add('b')
      await writer.execute('savepoint ONE')
      await add('c')
      await writer.execute('rollback to "one"')
      t.equal(await bodies(), 'a,b', 'the later one of that name')
      await writer.execute('release one')
      await writer.execute('rollback work to savepoint one;')
      t.equal(await bodies(), 'a', 'then the earlier one')
      await writer.execute('savepoint "Two ""words"""')
      await add('d')
      await writer.execute('rollback to savepoint "Two ""words""" -- as it was')
      const inner = writer.transactional(async em => {
        await em.insert(Note, { tag: 'own', body: 'e' } as never)
        throw new RangeError('no')
      })
      await t.rejects(inner, { message: 'no' })
      await writer.transactional(em => em.insert(Note, { tag: 'own', body: 'f' } as never))
    })
    t.same(await notes(db, 'own'), ['a', 'f'])
  })
}

t.test('a savepoint that is not there ends the transaction, as any error does', async t => {
  const { app } = await sharedApp(t)
  await using db = await testDb(app)
  for (const statements of [
    ['rollback to missing'],
    ['release missing'],
    ['savepoint missing', 'release missing', 'rollback to missing'],
    ['savepoint outer', 'savepoint missing', 'rollback to "outer"', 'rollback to missing'],
  ]) {
    const swallowed = db.run(async ({ writer }) => {
      await writer.insert(Note, { tag: 'missing', body: 'a' } as never)
      for (const sql of statements.slice(0, -1)) await writer.execute(sql)
      const wrong = writer.execute(statements.at(-1) as string)
      await t.rejects(wrong, { code: '3B001', message: /"missing" does not exist/ }, statements.join())
      for (const sql of ['select 1', 'savepoint late', 'release late'])
        await t.rejects(writer.execute(sql), { code: '25P02' }, sql)
    })
    await t.rejects(swallowed, { code: 'SQLA_ERR_COMMIT_ROLLED_BACK' })
  }
  t.same(await notes(db, 'missing'), [])
})

t.test('a transaction of an autocommit engine commits or rolls back by itself', async t => {
  const { app, db: database } = await sharedApp(t)
  await database.sql("insert into note (tag, body) values ('unit', 'before')")
  await using db = await testDb(app)
  const failing = db.run(async ({ writer, reader, logger }) => {
    await writer.nativeUpdate(Note, { tag: 'unit' }, { kind: 'undone' })
    const unit = logger.transactional(async em => {
      await em.insert(Audit, { tag: 'unit' } as never)
      await writer.count(Audit)
      await reader.execute('with line as (select * from audit) select count(*) from line')
      const rows = await writer.execute<{ body: string }[]>("update note set kind = 'undone' returning body")
      for (const row of rows) row.body = 'the rows belong to whoever asked'
      await writer.nativeUpdate(Note, { tag: 'unit' }, { body: 'meanwhile' })
      throw new RangeError('no')
    })
    await t.rejects(unit, { message: 'no' })
    t.equal(
      await writer.count(Note, { kind: 'undone', body: 'meanwhile' }),
      1,
      'what others did meanwhile stays',
    )
    t.equal(await reader.count(Audit), 0)
    await logger.transactional(em => em.insert(Audit, { tag: 'unit' } as never))
    throw new RangeError('undo')
  })
  await t.rejects(failing, { message: 'undo' })
  t.same(await notes(db, 'unit'), ['before'])
  t.equal(await audits(db, 'unit'), 1)
})

t.test('a transaction whose ids would be others, as one around it was rolled back, cannot go on', async t => {
  const { app } = await sharedApp(t)
  await using db = await testDb(app)
  const overlapping = db.run(async ({ writer, logger }) => {
    const unit = logger.transactional(async em => {
      await em.insert(Audit, { tag: 'lost' } as never)
      await writer.insert(Note, { tag: 'lost', body: 'a' } as never)
      throw new RangeError('no')
    })
    await t.rejects(unit, { message: 'no' })
  })
  await t.rejects(overlapping, { code: 'SQLA_ERR_TEST_OVERLAP', message: /'writer'.*'logger'/s })
  t.same(await notes(db, 'lost'), [])
  t.equal((await app.inject({ method: 'POST', url: '/notes/lost' })).statusCode, 200)
})

t.test('what is done again may be undone again, savepoints included', async t => {
  const { app } = await sharedApp(t)
  await using db = await testDb(app)
  const failing = db.run(async ({ writer, logger }) => {
    await writer.insert(Note, { tag: 'again', body: 'first' } as never)
    const unit = logger.transactional(async em => {
      await em.insert(Audit, { tag: 'again' } as never)
      const inner = em.transactional(async fork => {
        await fork.insert(Audit, { tag: 'again' } as never)
        await writer.nativeUpdate(Note, { tag: 'again' }, { kind: 'updated' })
        await writer.execute('savepoint mine')
        await writer.execute('rollback to savepoint mine')
        throw new RangeError('inner')
      })
      await t.rejects(inner, { message: 'inner' })
      throw new RangeError('outer')
    })
    await t.rejects(unit, { message: 'outer' })
    await writer.insert(Note, { tag: 'again', body: 'undone' } as never)
    await logger.insert(Audit, { tag: 'again' } as never)
    await writer.execute('rollback to savepoint mine')
    t.equal(await writer.count(Note, { tag: 'again', kind: 'updated' }), 1)
    t.equal(await writer.count(Note, { tag: 'again' }), 1)
    t.equal(await logger.count(Audit, { tag: 'again' }), 1, 'what others did behind it stays')
    throw new RangeError('all')
  })
  await t.rejects(failing, { message: 'all' })
  t.same(await notes(db, 'again'), [])
  t.equal(await audits(db, 'again'), 1)
})

t.test('a transaction whose statement needs what was rolled back cannot go on', async t => {
  const { app, db: database } = await sharedApp(t)
  await database.sql('create table child (audit integer references audit)')
  const db = await testDb(app)
  const overlapping = db.run(async ({ writer, logger }) => {
    const unit = logger.transactional(async em => {
      await em.execute("insert into audit values (9, 'lost')")
      await writer.execute('insert into child values (9)')
      throw new RangeError('no')
    })
    await t.rejects(unit, { message: 'no' })
    await t.rejects(writer.execute('select 1'), { code: 'SQLA_ERR_TEST_OVERLAP' })
  })
  await t.rejects(overlapping, { code: 'SQLA_ERR_TEST_OVERLAP', message: /'writer'.*'logger'/s })
  t.equal(await audits(db, 'lost'), 0)
  await db.rollback()
})

t.test('onCommit, onRollback and generated ids are as ever; a doomed transaction is rolled back', async t => {
  const { app } = await sharedApp(t)
  await using db = await testDb(app)
  const told: string[] = []
  await db.run(async session => {
    session.onCommit(() => told.push('commit'))
    session.onRollback(() => told.push('rollback'))
    const note = session.writer.create(Note, { tag: 'ids', body: 'a' })
    await session.writer.flush()
    t.type(note.id, 'number')
    t.ok(note.createdAt instanceof Date)
  })
  const doomed = db.run(async session => {
    session.onRollback(() => told.push('doomed'))
    await session.writer.insert(Note, { tag: 'ids', body: 'b' } as never)
    session.transaction.doom()
  })
  await t.rejects(doomed, { code: 'SQLA_ERR_TRANSACTION_DOOMED' })
  t.same(told, ['commit', 'doomed'])
  t.same(await notes(db, 'ids'), ['a'])
  await db.run(async session => {
    await session.writer.insert(Note, { tag: 'ids', body: 'c' } as never)
    const savepoint = await session.transaction.savepoint()
    await session.writer.insert(Note, { tag: 'ids', body: 'd' } as never)
    await savepoint.rollback()
  })
  t.same(await notes(db, 'ids'), ['a', 'c'])
})

t.test('a session that commits twice has two transactions', async t => {
  const { app } = await sharedApp(t)
  await using db = await testDb(app)
  await db.run(
    async ({ writer }) => {
      writer.create(Note, { tag: 'twice', body: 'a' })
      await writer.commit()
      writer.create(Note, { tag: 'twice', body: 'b' })
      await writer.flush()
      await writer.rollback()
    },
    { commitMode: 'manual' },
  )
  t.same(await notes(db, 'twice'), ['a'])
})

t.test('streams are read while other statements run', async t => {
  const { app } = await sharedApp(t)
  await using db = await testDb(app)
  for (const body of ['a', 'b', 'c']) await app.inject({ method: 'POST', url: `/notes/rows?body=${body}` })
  await db.run(async ({ reader, writer }) => {
    for await (const { body } of reader
      .createQueryBuilder(Note)
      .where({ tag: 'rows' })
      .orderBy({ id: 1 })
      .stream({ chunkSize: 1 })) {
      await writer.insert(Note, { tag: 'copies', body } as never)
    }
  })
  t.same(await notes(db, 'copies'), ['a', 'b', 'c'])
})

t.test('the statement of a client that hangs up is cancelled, as often as that happens', async t => {
  const test = await sharedApp(t, {}, { abortGrace: 50 }, app => {
    app.post('/slow', async request => {
      await request.db.writer.insert(Note, { tag: 'slow', body: 'a' } as never)
      await request.db.writer.execute('select pg_sleep(15)')
    })
  })
  await using db = await testDb(test.app)
  const from = performance.now()
  for (let turn = 0; turn < 2; turn++) {
    const call = test.call('POST', '/slow')
    await eventually(() => test.app.sqlAssist.sessions.holding > 0)
    call.abort()
    t.ok(await eventually(() => test.app.sqlAssist.sessions.open === 0))
    t.same(await notes(db, 'slow'), [])
  }
  t.ok(performance.now() - from < 12_000)
})
