import t from 'tap'
import { Audit, audited, committed, createTables, NOTHING, Note, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'

t.test('what a request creates', async t => {
  const database = await testDatabase(t)
  await createTables(database)
  const test = await testApp(t, database, {
    plugin: { commitMode: 'autocommit' },
    routes: app => {
      app.post('/notes/:tag', async (request, reply) => {
        const { tag } = request.params as { tag: string }
        reply.code(201)
        return request.db.writer.create(Note, { tag, body: 'new' })
      })
      app.post('/nested/:tag', async request => {
        const { tag } = request.params as { tag: string }
        return { items: ['a', 'b'].map(body => request.db.writer.create(Note, { tag, body })), total: 2 }
      })
      app.post('/audits/:tag', async request =>
        request.db.logger.create(Audit, { tag: (request.params as { tag: string }).tag }),
      )
      app.post('/friendly/:tag', {
        errorHandler: (_error, _request, reply) => reply.code(200).send({ friendly: true }),
        handler: async request => {
          const { tag } = request.params as { tag: string }
          await request.db.writer.persist(request.db.writer.create(Note, { tag, body: 'new' })).flush()
          throw new Error('after the flush')
        },
      })
      app.post('/half/:tag', async (request, reply) => {
        const { tag } = request.params as { tag: string }
        const { writer, logger } = request.db
        const note = writer.create(Note, { tag, body: 'flushed in the middle' })
        logger.create(Audit, { tag })
        await writer.flush()
        writer.create(Note, { tag, body: 'pending' })
        return reply.code(500).send({ id: note.id })
      })
      app.post('/throws/:tag', async request => {
        const { tag } = request.params as { tag: string }
        request.db.logger.create(Audit, { tag })
        request.db.writer.create(Note, { tag, body: 'pending' })
        throw new Error('before any flush')
      })
      app.post('/manual/:tag', { config: { db: { commitMode: 'manual' } } }, async request => {
        const { tag } = request.params as { tag: string }
        request.db.logger.create(Audit, { tag })
        return request.db.writer.create(Note, { tag, body: 'pending' })
      })
    },
  })

  await t.test('is answered with its generated id and the defaults of the database', async t => {
    const answer = await test.ask('POST', '/notes/created')
    t.equal(answer.status, 201)
    const [row] = await database.sql("select id, kind, created_at from note where tag = 'created'")
    t.same(JSON.parse(answer.body), {
      id: row?.id,
      tag: 'created',
      body: 'new',
      kind: 'plain',
      createdAt: row?.created_at.toISOString(),
    })
  })

  await t.test('is answered with its ids inside of a plain object too', async t => {
    const answer = JSON.parse((await test.ask('POST', '/nested/nested')).body)
    const rows = await database.sql("select id from note where tag = 'nested' order by id")
    t.equal(rows.length, 2)
    t.same(
      answer.items.map((item: { id: number }) => item.id),
      rows.map(row => row.id),
    )
  })

  await t.test('has its id when an autocommit engine has created it', async t => {
    const answer = JSON.parse((await test.ask('POST', '/audits/line')).body)
    const [row] = await database.sql("select id from audit where tag = 'line'")
    t.equal(answer.id, row?.id)
  })

  await t.test('is not there after an error, even when its error handler answers 200', async t => {
    t.match(await test.ask('POST', '/friendly/friendly'), { status: 200, body: '{"friendly":true}' })
    t.same(await committed(database, 'friendly'), [])
  })

  await t.test('is not there after a 500, though it was flushed; the line of the logger is', async t => {
    const answer = await test.ask('POST', '/half/half')
    t.equal(answer.status, 500)
    t.type(JSON.parse(answer.body).id, 'number', 'the flush did reach the server')
    t.same(await committed(database, 'half'), [])
    t.equal(await audited(database, 'half'), 1)
  })

  await t.test('stays in the logger when the handler throws', async t => {
    t.equal((await test.ask('POST', '/throws/throws')).status, 500)
    t.same(await committed(database, 'throws'), [])
    t.equal(await audited(database, 'throws'), 1)
  })

  await t.test('is not written at all in manual mode', async t => {
    const answer = await test.ask('POST', '/manual/manual')
    t.equal(answer.status, 200)
    t.notMatch(JSON.parse(answer.body), { id: Number })
    t.same(await committed(database, 'manual'), [])
    t.equal(await audited(database, 'manual'), 0)
  })

  t.same(await test.remains(), NOTHING)
})
