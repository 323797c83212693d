import { defineEntity, p } from '@mikro-orm/core'
import Fastify from 'fastify'
import t from 'tap'
import {
  auditColumns,
  bigintPrimary,
  uuidPrimary,
  valuesOnUpdate,
} from '../../plugins/repository/fragments.ts'
import { Repository } from '../../plugins/repository/index.ts'
import sqlAssist from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'

const NoteSchema = defineEntity({
  name: 'Note',
  properties: {
    ...uuidPrimary(),
    text: p.text(),
    ...auditColumns({ by: request => request?.headers['x-user']?.toString() }),
  },
})
class Note extends NoteSchema.class {}
NoteSchema.setClass(Note)
const Visit = defineEntity({
  name: 'Visit',
  properties: { ...bigintPrimary(), page: p.string(), ...auditColumns() },
})
const Big = defineEntity({
  name: 'Big',
  properties: { ...bigintPrimary({ mode: 'bigint' }), page: p.string() },
})
const Small = defineEntity({
  name: 'Small',
  properties: { ...bigintPrimary({ mode: 'number' }), page: p.string() },
})
const Click = defineEntity({
  name: 'Click',
  properties: { ...uuidPrimary(), visit: () => p.manyToOne(Visit), note: () => p.manyToOne(NoteSchema) },
})
const entities = [NoteSchema, Visit, Big, Small, Click]

await onEveryBackend(t, async (t, backend) => {
  const orm = await backend.orm(t, { entities })
  await orm.schema.create()
  const em = () => orm.em.fork()
  const later = () => new Promise(resolve => setTimeout(resolve, 3))

  t.test('the schema is stable', async t => t.equal(await orm.schema.getUpdateSchemaSQL(), ''))

  t.test('a UUID is there before the flush, sorts as created, and is the one that is stored', async t => {
    const one = em()
    const notes = ['a', 'b', 'c', 'd', 'e'].map(text => one.create(Note, { text }))
    const ids = notes.map(note => note.id)
    t.match(ids[0], /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
    await one.flush()
    const stored = await em().find(Note, {}, { orderBy: { id: 'asc' } })
    t.strictSame(
      stored.map(({ id, text }) => [id, text]),
      ids.map((id, index) => [id, 'abcde'[index]]),
    )
    const given = '00000000-0000-7000-8000-000000000001'
    await one.persist(one.create(Note, { id: given, text: 'mine' })).flush()
    t.equal((await em().findOneOrFail(Note, { text: 'mine' })).id, given, 'one that is given stays')
  })

  t.test('relations refer to both kinds of keys', async t => {
    const one = em()
    const note = one.create(Note, { text: 'clicked' })
    const visit = one.create(Visit, { page: '/clicked' })
    const { id } = one.create(Click, { note, visit })
    await one.flush()
    const click = await em().findOneOrFail(Click, { id, visit: visit.id })
    t.strictSame([click.visit.id, click.note.id], [visit.id, note.id])
    await em().nativeDelete(Click, { id })
  })

  t.test('the time of creation and of the last change', async t => {
    const one = em()
    const visit = one.create(Visit, { page: '/' })
    await one.flush()
    t.same(visit.createdAt, visit.updatedAt, 'the same when new')
    const created = visit.createdAt
    t.same((await em().findOneOrFail(Visit, visit.id)).createdAt, created, 'stored to the millisecond')
    await later()
    await one.flush()
    t.same(visit.updatedAt, created, 'a flush without changes leaves it')
    visit.page = '/about'
    await one.flush()
    t.ok(visit.updatedAt > created)
    const stored = await em().findOneOrFail(Visit, visit.id)
    t.same([stored.createdAt, stored.updatedAt], [created, visit.updatedAt])
  })

  t.test('an upsert and a native update', async t => {
    const one = em()
    const { id } = await one.upsert(Visit, { id: '77', page: '/' })
    const { createdAt, updatedAt } = await em().findOneOrFail(Visit, id)
    t.same(createdAt, updatedAt)
    await later()
    await one.nativeUpdate(Visit, { id }, { page: '/x', ...valuesOnUpdate(one, Visit) })
    const stored = await em().findOneOrFail(Visit, id)
    t.same(stored.createdAt, createdAt)
    t.ok(stored.updatedAt > updatedAt)
    t.strictSame(Object.keys(valuesOnUpdate(one, Note)), ['updatedAt', 'updatedBy'])
    t.strictSame(valuesOnUpdate(one, Big), {})
  })

  t.test('an upsert of a repository changes the time of a row that was there', async t => {
    const visits = new Repository(Visit, em())
    await visits.upsert({ id: '78', page: '/' })
    const { createdAt, updatedAt } = await em().findOneOrFail(Visit, '78')
    await later()
    await new Repository(Visit, em()).upsertMany([
      { id: '78', page: '/again' },
      { id: '79', page: '/new' },
    ])
    const again = await em().findOneOrFail(Visit, '78')
    t.same([again.page, again.createdAt], ['/again', createdAt])
    t.ok(again.updatedAt > updatedAt)
    const fresh = await em().findOneOrFail(Visit, '79')
    t.ok(fresh.updatedAt >= fresh.createdAt)
  })

  t.test('who has written, from the request', async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(sqlAssist, {
      engines: { writer: { orm: backend.options({ entities }) } },
      commitMode: 'autocommit',
    })
    app.post('/notes', async request => request.db.writer.create(Note, { text: 'audited' }))
    app.patch('/notes/:id', async request => {
      const { id } = request.params as { id: string }
      return request.db.writer.transactional(async nested => {
        const note = await nested.findOneOrFail(Note, id)
        note.text = `${request.headers['x-user']} was here`
        return note
      })
    })
    const created = await app.inject({ method: 'POST', url: '/notes', headers: { 'x-user': 'ann' } })
    const note = created.json()
    t.match(note, { text: 'audited', createdBy: 'ann', updatedBy: 'ann' })
    const url = `/notes/${note.id}`
    const patched = await app.inject({ method: 'PATCH', url, headers: { 'x-user': 'bob' } })
    t.match(patched.json(), { createdBy: 'ann', updatedBy: 'bob' })
    t.match(await em().findOneOrFail(Note, note.id), { createdBy: 'ann', updatedBy: 'bob' })
    await app.sqlAssist.run(
      async db => {
        const found = await db.writer.findOneOrFail(Note, note.id)
        found.text = 'a job was here'
      },
      { commitMode: 'autocommit' },
    )
    t.match(await em().findOneOrFail(Note, note.id), { createdBy: 'ann', updatedBy: null }, 'nobody is known')
  })

  t.test('a bigint is answered as JSON, and finds its row again', async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(sqlAssist, {
      engines: { writer: { orm: backend.options({ entities }) } },
      commitMode: 'autocommit',
    })
    app.post('/visit', async request => {
      const visit = request.db.writer.create(Visit, { page: '/' })
      await request.db.writer.flush()
      return { id: visit.id, visit }
    })
    app.get('/visits/:id', async request =>
      request.db.writer.findOneOrFail(Visit, (request.params as { id: string }).id),
    )
    app.post('/big', async request => request.db.writer.create(Big, { page: '/' }))
    app.post('/small', async request => request.db.writer.create(Small, { page: '/' }))
    const { id, visit } = (await app.inject({ method: 'POST', url: '/visit' })).json()
    t.type(id, 'string')
    t.equal(visit.id, id)
    t.equal((await app.inject(`/visits/${id}`)).json().id, id)
    t.strictSame((await app.inject({ method: 'POST', url: '/big' })).json(), { id: '1', page: '/' })
    t.strictSame((await app.inject({ method: 'POST', url: '/small' })).json(), { id: 1, page: '/' })
    if (backend.dialect === 'sqlite') return // better-sqlite3 reads integers as numbers
    const large = '9007199254740993' // 2⁵³ + 1
    await em().insert(Visit, { id: large, page: '/', createdAt: new Date(), updatedAt: new Date() })
    t.equal((await app.inject(`/visits/${large}`)).json().id, large, 'exactly')
  })

  if (backend.dialect !== 'postgresql') return
  t.test('a row that is inserted by hand gets its UUID where the server makes one', async t => {
    const makes = backend.name === 'PostgreSQL' ? 'uuidv7()' : 'gen_random_uuid()'
    const Made = defineEntity({
      name: 'Made',
      properties: { ...uuidPrimary({ default: makes }), text: p.text() },
    })
    const orm = await backend.orm(t, { entities: [Made] })
    await orm.schema.create()
    t.notMatch(await orm.schema.getUpdateSchemaSQL(), /"made"/, 'which is stable')
    const one = orm.em.fork()
    await one.execute("insert into made (text) values ('by hand')")
    const { id } = await one.findOneOrFail(Made, { text: 'by hand' })
    t.match(id, makes === 'uuidv7()' ? /^[0-9a-f]{8}-[0-9a-f]{4}-7/ : /^[0-9a-f]{8}-[0-9a-f]{4}-4/)
    const made = one.create(Made, { text: 'by us' })
    t.match(made.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/, 'and the process makes its own')
  })
})

t.test('fragments are not shared between entities', async t => {
  t.not(auditColumns().createdAt, auditColumns().createdAt)
  t.not(uuidPrimary().id, uuidPrimary().id)
})
