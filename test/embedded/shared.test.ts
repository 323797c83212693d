import t from 'tap'
import { primaryUrl, testDatabase } from '../support/cluster.ts'
import { query } from './helpers.ts'

t.test('every test file has a database of its own on the shared primary', async t => {
  const names: string[] = []
  await t.test('while the file runs', async t => {
    const [one, other] = [await testDatabase(t), await testDatabase(t)]
    names.push(one.name, other.name)
    t.equal(new URL(one.url).host, new URL(await primaryUrl()).host)
    await one.sql('create table note (id serial primary key, text text)')
    t.same(await query(one.writerUrl, `insert into note (text) values ('a') returning id`), [{ id: 1 }])
    t.same(await query(one.readerUrl, 'select text from note'), [{ text: 'a' }])
    t.same(await query(one.loggerUrl, `insert into note (text) values ('b') returning id`), [{ id: 2 }])
    t.same(await one.sql('select text from note where id = $1', [2]), [{ text: 'b' }])
    t.same(await other.sql(`select from pg_class where relname = 'note'`), [])
    if (one.readerUrl !== one.url) {
      await t.rejects(query(one.readerUrl, `insert into note (text) values ('c')`), { code: '42501' })
    }
  })
  const left = await query(await primaryUrl(), `select datname from pg_database where datname like 't\\_%'`)
  for (const name of names)
    t.notOk(
      left.some(row => row.datname === name),
      'dropped',
    )
})
