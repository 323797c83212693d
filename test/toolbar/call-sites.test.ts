import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Repository } from '../../plugins/repository/index.ts'
import { createTables, Note } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { recordedApp } from './recorded-app.ts'

const db = await testDatabase(t)
await createTables(db)
await db.sql("insert into note (tag, body) values ('seed', 'one')")

/** The place of each statement, with the marker that its line ends with. */
const lines = readFileSync(fileURLToPath(import.meta.url), 'utf8').split('\n')
function markerOf(origin: string | undefined): string | undefined {
  const [, line] = /^test[\\/]toolbar[\\/]call-sites\.test\.ts:(\d+):\d+$/.exec(origin ?? '') ?? []
  return line === undefined ? origin : /\/\/ (.*)$/.exec(lines[Number(line) - 1] ?? '')?.[1]
}

const test = await recordedApp(t, db, {
  plugin: { commitMode: 'autocommit' },
  routes(app) {
    app.get('/calls', async request => {
      const { writer } = request.db
      await writer.find(Note, { tag: 'seed' }) // find
      await writer.fork({ keepTransactionContext: true }).find(Note, { tag: 'seed' }) // fork
      await writer.qb(Note).where({ tag: 'seed' }).getResult() // builder
      await writer.transactional(async em => {
        await em.execute('select 1') // in a transaction
        await em.qb(Note).getResult() // a builder in a transaction
      })
      await new Repository(Note, writer).list() // repository
      return {}
    })
    app.post('/explicit', async request => {
      request.db.writer.create(Note, { tag: 'a', body: 'flushed by hand' })
      await request.db.writer.flush() // flush
      request.db.writer.create(Note, { tag: 'a', body: 'committed by hand' })
      await request.db.transaction.commit() // commit
      return {}
    })
    app.post('/send', (request, reply) => {
      request.db.writer.create(Note, { tag: 'b', body: 'flushed while it is sent' })
      reply.send({}) // send
    })
    let runs = 0
    app.post('/again', { config: { db: { retry: 1 } } }, async request => {
      request.db.writer.create(Note, { tag: 'd', body: 'flushed by hand' })
      await request.db.writer.flush() // flush again
      request.db.transaction.onBeforeCommit(() => {
        if (runs++ === 0) throw Object.assign(new Error('could not serialize'), { code: '40001' })
      })
      return {}
    })
    app.post('/rule', async request => {
      request.db.writer.create(Note, { tag: 'b', body: 'flushed by the commit rule' })
      request.db.transaction.onBeforeCommit(async () => {
        await request.db.writer.find(Note, { tag: 'seed' }) // before the commit
        request.db.writer.create(Note, { tag: 'b', body: 'once more' })
      })
      return {}
    })
  },
})

/** Of the statements that read or write notes. */
async function placesOf(method: 'GET' | 'POST', url: string) {
  t.equal((await test.ask(method, url, method === 'POST' ? { body: {} } : {})).status, 200)
  const { statements } = await test.last()
  return statements
    .filter(({ sql }) => /note|select \$1/.test(sql))
    .map(({ sql, origin }) => [/^\w+/.exec(sql)?.[0], markerOf(origin)])
}

t.test('a statement has the line of the application that has asked for it', async t => {
  t.same(await placesOf('GET', '/calls'), [
    ['select', 'find'],
    ['select', 'fork'],
    ['select', 'builder'],
    ['select', 'in a transaction'],
    ['select', 'a builder in a transaction'],
    ['select', 'repository'],
  ])
  t.same(await placesOf('POST', '/explicit'), [
    ['insert', 'flush'],
    ['insert', 'commit'],
  ])
})

t.test('what the commit rule flushes has none; what is asked meanwhile has one', async t => {
  t.same(await placesOf('POST', '/rule'), [
    ['insert', undefined],
    ['select', 'before the commit'],
    ['insert', undefined],
  ])
  t.same(await placesOf('POST', '/send'), [['insert', undefined]])
  await test.app.sqlAssist.run(
    ({ writer }) => {
      writer.create(Note, { tag: 'c', body: 'of a scope' })
    },
    { name: 'job' },
  )
  t.match(await test.last(), { route: 'job', statements: [{ sql: /^insert/, origin: undefined }] })
})

t.test('a handler that runs again asks itself again', async t => {
  t.same(await placesOf('POST', '/again'), [
    ['insert', 'flush again'],
    ['insert', 'flush again'],
  ])
})

t.test('nothing is noted when nobody watches any more', async t => {
  test.recorder.close()
  const { captureStackTrace } = Error
  let captured = 0
  t.teardown(() => Object.assign(Error, { captureStackTrace }))
  Error.captureStackTrace = (target, above) => {
    captured++
    captureStackTrace.call(Error, target, above)
  }
  t.equal((await test.ask('GET', '/calls')).status, 200)
  t.equal(captured, 0)
})
