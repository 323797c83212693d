import t from 'tap'
import { testCluster } from '../support/cluster.ts'
import { query } from './helpers.ts'

const cluster = await testCluster(t)
const owner = cluster.primary.url
const [reader, writer, logger] = [
  cluster.url('app_reader'),
  cluster.url('app_writer'),
  cluster.url('app_logger'),
]
const refused = { code: '42501' }

await query(owner, 'create table by_owner (id serial primary key, text text)', 'create schema shop')
await query(owner, 'create table shop.item (id serial primary key)')
await query(writer, 'create table by_writer (id serial primary key, text text)')
await query(logger, 'create table by_logger (id serial primary key, text text)')
const tables = ['by_owner', 'by_writer', 'by_logger']

t.test('app_reader reads every table, whoever created it, and writes none', async t => {
  for (const table of tables) {
    t.same(await query(reader, `select * from ${table}`), [])
    t.equal((await query(reader, `select last_value from ${table}_id_seq`)).length, 1)
    await t.rejects(query(reader, `insert into ${table} (id, text) values (99, 'x')`), refused)
    await t.rejects(query(reader, `update ${table} set text = 'x'`), refused)
    await t.rejects(query(reader, `delete from ${table}`), refused)
    await t.rejects(query(reader, `truncate ${table}`), refused)
    await t.rejects(query(reader, `select nextval('${table}_id_seq')`), refused)
  }
  t.same(await query(reader, 'select * from shop.item'), [], 'a schema that was made later')
  await t.rejects(query(reader, 'create table mine (id int)'), refused)
})

t.test('app_writer reads and writes rows everywhere, and creates tables', async t => {
  for (const table of tables) {
    const [row] = await query(
      writer,
      `insert into ${table} (text) values ('a') returning id`,
      `update ${table} set text = 'b' returning text`,
    )
    t.same(row, { text: 'b' })
    t.equal((await query(writer, `delete from ${table} returning id`)).length, 1)
  }
  for (const table of ['by_owner', 'by_logger']) {
    await t.rejects(query(writer, `drop table ${table}`), refused)
    await t.rejects(query(writer, `truncate ${table}`), refused)
  }
  await t.rejects(query(writer, 'create role other'), refused)
})

t.test('app_logger creates its table, appends and reads; it changes nothing of others', async t => {
  for (const table of tables) {
    t.equal((await query(logger, `insert into ${table} (text) values ('a') returning id`)).length, 1)
    t.ok((await query(logger, `select * from ${table}`)).length > 0)
  }
  for (const table of ['by_owner', 'by_writer']) {
    await t.rejects(query(logger, `update ${table} set text = 'x'`), refused)
    await t.rejects(query(logger, `delete from ${table}`), refused)
  }
})
