import t from 'tap'
import { summaryOf } from '../../plugins/diagnostics/query-summary.ts'

const summary = (sql: string, dialect = 'postgresql'): string => summaryOf(sql, dialect).text

t.test('a summary has the operations and their tables, as the text spells them', async t => {
  const cases: Record<string, string> = {
    // The examples of the conventions
    'SELECT * FROM wuser_table WHERE username = $1': 'SELECT wuser_table',
    'INSERT INTO shipping_details (order_id, address) SELECT order_id, address FROM orders WHERE order_id = $1':
      'INSERT shipping_details SELECT orders',
    'SELECT * FROM songs, artists WHERE songs.artist_id = artists.id': 'SELECT songs artists',
    'SELECT order_date FROM (SELECT * FROM orders o JOIN customers c ON o.customer_id = c.customer_id) x':
      'SELECT SELECT orders customers',
    'SELECT * FROM "song list", artists': 'SELECT "song list" artists',
    // What MikroORM writes
    'select "n0".* from "note" as "n0" where "n0"."tag" = $1 limit $2': 'select "note"',
    'insert into "app"."note" ("tag", "body") values ($1, $2), ($3, $4) returning "id"':
      'insert "app"."note"',
    'update "note" set "body" = $1, "kind" = $2 where "id" = $3': 'update "note"',
    'delete from "note" where "id" in ($1, $2)': 'delete "note"',
    'select count(*) as "count" from "note" as "n0" left join "user" as "u1" on "n0"."user_id" = "u1"."id", "tag"':
      'select "note" "user" "tag"',
    // What people write
    'with recent as (select * from note where id > $1) update audit set tag = $2 from recent where true':
      'select note update audit recent',
    'select extract(year from created_at), trim(both $1 from tag) from note': 'select note',
    'select * from a where x is distinct from y and z is not distinct from w': 'select a',
    'select * from note for update skip locked': 'select note',
    'select * from note for no key update': 'select note',
    'insert into note (id) values ($1) on conflict (id) do update set tag = excluded.tag': 'insert note',
    'delete from note using audit where note.tag = audit.tag': 'delete note audit',
    'merge into note using audit on note.tag = audit.tag when matched then update set body = $1':
      'merge note audit',
    'select * from a join b using (id)': 'select a b',
    'select * from only note, lateral (select 1) x': 'select note select',
    'select * from unnest($1::int[]) as x, note': 'select note',
    'select a, b, c from note group by a, b order by a, b': 'select note',
    'select 1 union all select id from note': 'select select note',
    'select $1': 'select',
    'select replace(tag, $1, $2) from note': 'select note',
    "/* from nowhere */ select * from note -- where's the end": 'select note',
    // Commands
    'create unique index concurrently "by_tag" on "note" ("tag")': 'create index "by_tag"',
    'create table if not exists "a"."note" (id int)': 'create table "a"."note"',
    'create or replace function f() returns trigger': 'create function f',
    'truncate table note': 'truncate table note',
    'lock note in exclusive mode': 'lock note',
    'drop table if exists note': 'drop table note',
    'savepoint "trx4711"': 'savepoint',
    'release savepoint "trx4711"': 'release',
    'set local statement_timeout = $1': 'set',
    commit: 'commit',
    '': '',
    ')) from': ')',
  }
  for (const [sql, expected] of Object.entries(cases)) t.equal(summary(sql), expected, sql)
})

t.test('the quotes of a dialect are the names that they are', async t => {
  t.equal(summary('select `n0`.* from `my note` as `n0`', 'mysql'), 'select `my note`')
  t.equal(summary('insert into `a`.`note` (`id`) values (?)', 'mariadb'), 'insert `a`.`note`')
  t.equal(summary('select * from "note"', 'sqlite'), 'select "note"')
  t.equal(summary('select * from "note"', 'mysql'), 'select', 'a text is none')
})

t.test('a summary has at most 255 characters, and no half names', async t => {
  const tables = Array.from({ length: 100 }, (_, at) => `table_${at}`)
  const text = summary(`select * from ${tables.join(', ')}`)
  t.ok(text.length <= 255 && text.length > 240, String(text.length))
  t.ok(text.split(' ').every(word => word === 'select' || tables.includes(word)))
  const long = 'a'.repeat(200)
  t.equal(
    summary(`select * from ${long}, ${'b'.repeat(60)}, c`),
    `select ${long}`,
    'nor one that comes later',
  )
})

t.test('whether a statement returns rows', async t => {
  const cases: Record<string, boolean> = {
    'select 1': true,
    'insert into note (tag) values ($1)': false,
    'insert into note (tag) values ($1) returning id': true,
    'update note set tag = $1': false,
    'with gone as (delete from note) insert into audit (tag) values ($1)': false,
    'create table note (id int)': false,
    'show search_path': true,
  }
  for (const [sql, expected] of Object.entries(cases)) {
    t.equal(summaryOf(sql, 'postgresql').returnsRows, expected, sql)
  }
})

t.test('as many statements as an application has are remembered, not all that there ever were', async t => {
  const first = summaryOf('select * from first', 'postgresql')
  t.equal(summaryOf('select * from first', 'postgresql'), first)
  const wrong = Array.from({ length: 2_500 }, (_, at) => `t${at}`).filter(
    name => summary(`select * from ${name}`) !== `select ${name}`,
  )
  t.same(wrong, [])
  t.not(summaryOf('select * from first', 'postgresql'), first)
  t.same(summaryOf('select * from first', 'postgresql'), first)
  const long = `select ${'a, '.repeat(10_000)}b from note`
  t.equal(summary(long), 'select note')
  t.not(summaryOf(long, 'postgresql'), summaryOf(long, 'postgresql'), 'a long one is not kept')
})
