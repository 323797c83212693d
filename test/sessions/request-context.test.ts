import { defineConfig, defineEntity, MikroORM, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import t from 'tap'
import sqlAssist from '../../src/index.ts'
import { testDatabase } from '../support/cluster.ts'

const Note = defineEntity({ name: 'Note', properties: { id: p.integer().primary(), text: p.string() } })
const database = await testDatabase(t)
await database.sql('create table note (id serial primary key, text varchar(255) not null)')
const orm = () => defineConfig({ clientUrl: database.superUrl, entities: [Note] })

t.test('with requestContext the global orm.em is the session of the request', async t => {
  const own = await MikroORM.init(orm())
  t.teardown(() => own.close(true))
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sqlAssist, {
    engines: { writer: { orm: own }, reader: { orm: orm(), readOnly: true } },
    commitMode: 'autocommit',
    requestContext: true,
  })
  // A service that knows nothing of requests.
  const addNote = (text: string) => own.em.create(Note, { text })
  app.post('/notes', async (request, reply) => {
    const { text, fail } = request.body as { text: string; fail?: boolean }
    const note = addNote(text)
    await own.em.flush()
    t.equal(await request.db.writer.count(Note, { text }), 1, 'the same transaction')
    t.equal(await request.db.reader.count(Note, { text }), 0, 'and not another engine')
    t.equal(await app.sqlAssist.engines.get('reader').orm.em.count(Note, { text }), 0)
    await own.em.transactional(async em => {
      em.create(Note, { text: `${text} nested` })
    })
    reply.code(fail ? 500 : 201)
    return note
  })
  const notes = async (): Promise<string[]> =>
    (await database.sql<{ text: string }>('select text from note order by id')).map(row => row.text)

  const post = (payload: object) => app.inject({ method: 'POST', url: '/notes', payload })
  t.equal((await post({ text: 'lost', fail: true })).statusCode, 500)
  t.same(await notes(), [])
  const answers = await Promise.all(['a', 'b', 'c'].map(text => post({ text })))
  t.same(
    answers.map(answer => answer.statusCode),
    [201, 201, 201],
  )
  t.same((await notes()).sort(), ['a', 'a nested', 'b', 'b nested', 'c', 'c nested'])

  await app.sqlAssist.run(async () => {
    addNote('from a job')
  })
  t.ok((await notes()).includes('from a job'))
  t.throws(() => own.em.create(Note, { text: 'outside' }), /global EntityManager|global context/i)
})

t.test('without it orm.em stays what MikroORM makes of it', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sqlAssist, { engines: { writer: { orm: orm() } } })
  app.get('/', async () => app.sqlAssist.engines.get('writer').orm.em.find(Note, {}))
  t.equal((await app.inject('/')).statusCode, 500)
})
