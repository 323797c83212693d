import t from 'tap'
import {
  Audit,
  audited,
  committed,
  createTables,
  eventually,
  NOTHING,
  Note,
  testApp,
} from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'

t.test('what the logger engine cannot save', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  await database.sql("insert into audit (id, tag) values (1000, 'taken')")
  const test = await testApp(t, database, {
    plugin: { commitMode: 'autocommit' },
    routes: app => {
      app.setErrorHandler((error, request, reply) => {
        request.db.logger.create(Audit, { id: 1000, tag: 'from the error handler' })
        reply
          .code((error as { statusCode?: number }).statusCode ?? 500)
          .send({ answer: 'of the error handler' })
      })
      app.post('/answers/:status', async (request, reply) => {
        const { status } = request.params as { status: string }
        request.db.writer.create(Note, { tag: status, body: 'a' })
        request.db.logger.create(Audit, { id: 1000, tag: status })
        return reply.code(Number(status)).send({ answer: 'of the handler' })
      })
      app.post('/throws', async () => {
        throw Object.assign(new Error('gone'), { statusCode: 410 })
      })
    },
  })
  const failures = () =>
    test.logs.filter(({ msg }) => msg.startsWith('an autocommit session could not be flushed'))

  await t.test('does not change a response that is no success', async t => {
    const answer = await test.ask('POST', '/answers/404')
    t.same([answer.status, JSON.parse(answer.body)], [404, { answer: 'of the handler' }])
    t.match(failures(), [{ err: { code: '23505' } }])
    t.equal(failures().length, 1, 'and is logged, once')
    t.same(await committed(database, '404'), [])
  })

  await t.test('nor the answer of an error handler, and nothing of the driver leaves', async t => {
    const answer = await test.ask('POST', '/throws')
    t.same([answer.status, JSON.parse(answer.body)], [410, { answer: 'of the error handler' }])
    t.equal(failures().length, 2)
  })

  await t.test('makes a success an error', async t => {
    const answer = await test.ask('POST', '/answers/200')
    t.equal(answer.status, 500)
    t.same(await committed(database, '200'), [])
    t.ok(await eventually(async () => (await audited(database, '200')) === 0))
  })
  t.same(await test.remains(), NOTHING)
})
