import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { Account, type TwoDb, twoDatabases } from './two-databases.ts'

// A handler runs again when the database could not serialize it with others.

const isolationLevel = 'serializable'

/** Adds one to a balance, as two that do so at once cannot both. */
async function increment(db: TwoDb): Promise<number> {
  const account = await db.a.findOneOrFail(Account, 1)
  account.balance++
  await db.a.flush()
  return account.balance
}

const serializable = (t: Test, routes: Parameters<typeof twoDatabases>[3]) =>
  twoDatabases(t, { a: { isolationLevel } }, {}, routes)

t.test('50 clients increment a counter: it equals the number of answers 200', async t => {
  const { app, balances } = await serializable(t, app => {
    app.post('/increment', { config: { db: { retry: 8 } } }, async request => ({
      balance: await increment(request.db as TwoDb),
    }))
  })
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => app.inject({ method: 'POST', url: '/increment' })),
  )
  const fine = answers.filter(({ statusCode }) => statusCode === 200)
  t.ok(fine.length > 0)
  t.equal((await balances())[0], 100 + fine.length)
  t.same(
    new Set(fine.map(answer => answer.json().balance)).size,
    fine.length,
    'each answer is of its last run',
  )
  t.comment(`${fine.length} of 50 succeeded`)
})

t.test('without retry most of them fail', async t => {
  const { app, balances } = await serializable(t, app => {
    app.post('/increment', async request => ({ balance: await increment(request.db as TwoDb) }))
  })
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => app.inject({ method: 'POST', url: '/increment' })),
  )
  const fine = answers.filter(({ statusCode }) => statusCode === 200)
  t.ok(fine.length < 20, `${fine.length} of 20`)
  t.equal((await balances())[0], 100 + fine.length)
})

/** An error as the database reports it. */
const failure = (code: string): Error => Object.assign(new Error('could not serialize access'), { code })

t.test('each run begins anew: sessions, callbacks, headers, status', async t => {
  const told: string[] = []
  let runs = 0
  const { app, balances } = await twoDatabases(t, {}, {}, app => {
    app.post('/', { config: { db: { retry: 2 } } }, async (request, reply) => {
      runs++
      const db = request.db as TwoDb
      db.onCommit(() => told.push(`committed ${runs}`))
      db.onRollback(() => told.push(`rolled back ${runs}`))
      db.transaction.join({
        name: 'file',
        commit: () => told.push(`file ${runs}`),
        rollback: () => told.push(`no file ${runs}`),
      })
      const account = await db.a.findOneOrFail(Account, 1)
      t.equal(account.balance, 100, 'what was changed before is forgotten')
      account.balance += runs
      db.b.create(Account, { id: 10 + runs, balance: 1 })
      await db.b.flush()
      reply.code(200 + runs - 1).header(`x-run-${runs}`, 'yes')
      if (runs === 1) throw failure('40001')
      if (runs === 2) {
        db.transaction.doom()
        throw failure('40P01')
      }
      return { runs }
    })
  })
  const answer = await app.inject({ method: 'POST', url: '/' })
  t.equal(answer.statusCode, 202)
  t.same(answer.json(), { runs: 3 })
  t.same(
    Object.keys(answer.headers).filter(name => name.startsWith('x-run')),
    ['x-run-3'],
  )
  t.same(told, ['no file 1', 'rolled back 1', 'no file 2', 'rolled back 2', 'file 3', 'committed 3'])
  t.same(await balances(), [103, 100])
  t.same(await Promise.all([11, 12, 13].map(async id => (await balances(id))[1])), [undefined, undefined, 1])
})

t.test('a COMMIT that could not be serialized counts as well', async t => {
  let runs = 0
  const { app, a } = await twoDatabases(t, {}, {}, app => {
    app.post('/', { config: { db: { retry: 1 } } }, async request => {
      runs++
      ;(request.db as TwoDb).a.create(Account, { id: 20, balance: 777 })
      return { runs }
    })
  })
  await a.sql(`create function not_yet() returns trigger language plpgsql as $$ begin
    if nextval('attempts') = 1 then raise exception 'not yet' using errcode = '40001'; end if; return null; end $$;
    create sequence attempts; grant usage on attempts to public;
    create constraint trigger not_yet after insert on account deferrable initially deferred for each row execute function not_yet()`)
  const answer = await app.inject({ method: 'POST', url: '/' })
  t.equal(answer.statusCode, 200)
  t.same(answer.json(), { runs: 2 })
  t.same(await a.sql('select balance from account where id = 20'), [{ balance: 777 }])
})

t.test('it ends: the last error is the answer', async t => {
  let runs = 0
  const { app } = await twoDatabases(t, {}, {}, app => {
    app.post('/', { config: { db: { retry: 3 } } }, async () => {
      runs++
      throw failure('40001')
    })
  })
  t.equal((await app.inject({ method: 'POST', url: '/' })).statusCode, 500)
  t.equal(runs, 4)
})

t.test('other errors, answers that are on their way and streams that were read are not repeated', async t => {
  let runs = 0
  const { app } = await twoDatabases(t, {}, {}, app => {
    app.addContentTypeParser('text/csv', (_request, payload, done) => done(null, payload))
    const config = { db: { retry: 3 } }
    app.post('/other', { config }, async () => {
      runs++
      throw failure('23505')
    })
    app.post('/stream', { config }, async request => {
      runs++
      for await (const _chunk of request.body as Readable) throw failure('40001')
    })
    app.post('/sent', { config }, async (_request, reply) => {
      runs++
      await reply.send({ fine: true })
      throw failure('40001')
    })
  })
  t.equal((await app.inject({ method: 'POST', url: '/other' })).statusCode, 500)
  t.equal(runs, 1)
  const headers = { 'content-type': 'text/csv' }
  t.equal(
    (await app.inject({ method: 'POST', url: '/stream', headers, payload: Readable.from(['a']) })).statusCode,
    500,
  )
  t.equal(runs, 2)
  t.equal((await app.inject({ method: 'POST', url: '/sent' })).statusCode, 200)
  t.equal(runs, 3)
})

t.test('a partial commit is not repeated: a part of it would be there twice', async t => {
  let runs = 0
  const { app, b } = await twoDatabases(t, {}, {}, app => {
    app.post('/', { config: { db: { retry: 3 } } }, async request => {
      runs++
      const db = request.db as TwoDb
      db.a.create(Account, { id: 30 + runs, balance: 1 })
      db.b.create(Account, { id: 30, balance: 1 })
      return {}
    })
  })
  await b.sql(`create function never() returns trigger language plpgsql as $$ begin
    raise exception 'never' using errcode = '40001'; end $$;
    create constraint trigger never after insert on account deferrable initially deferred for each row execute function never()`)
  const answer = await app.inject({ method: 'POST', url: '/' })
  t.equal(answer.json().code, 'SQLA_ERR_PARTIAL_COMMIT')
  t.equal(runs, 1)
})

t.test('a response that does not commit is not committed early', async t => {
  const { app, balances } = await twoDatabases(t, {}, {}, app => {
    app.post('/', { config: { db: { retry: 3 } } }, async (request, reply) => {
      await increment(request.db as TwoDb)
      return reply.code(409).send({ no: true })
    })
    app.put('/', { config: { db: { retry: 3 } } }, async (request, reply) => {
      await increment(request.db as TwoDb)
      reply.code(409)
      return { no: true }
    })
  })
  for (const method of ['POST', 'PUT'] as const)
    t.equal((await app.inject({ method, url: '/' })).statusCode, 409)
  t.same(await balances(), [100, 100])
})

t.test('retry is a small whole number', async t => {
  await t.rejects(
    twoDatabases(t, {}, {}, app => {
      app.get('/', { config: { db: { retry: 1.5 } } }, async () => ({}))
    }),
    { code: 'SQLA_ERR_INVALID_OPTION', message: /GET \/: retry must be a whole number/ },
  )
})
