import t, { type Test } from 'tap'
import type { FieldsOf } from '../../plugins/repository/fields.ts'
import {
  beforeAfter,
  collection,
  comparison,
  exists,
  type Filter,
  filterGroup,
  isNull,
  limitOffset,
  notExists,
  notInCollection,
  notInSearch,
  notNull,
  onBeforeAfter,
  orderBy,
  Repository,
  search,
} from '../../plugins/repository/index.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'
import { Author, library, Note } from './library.ts'

// The SQL that each filter becomes, behind `select … from "author" as "a0"`; written as PostgreSQL has it. MariaDB and
// SQLite quote names with backticks; what else they say differently stands beside it.

type AuthorFilter = Filter<FieldsOf<Author>>

const at = new Date('2026-01-02T03:04:05.678Z')
const AUTHORS: Record<string, AuthorFilter[]> = {
  limitOffset: [limitOffset(20, 40)],
  orderBy: [orderBy('name'), orderBy('id', 'desc')],
  'orderBy of an embedded object': [orderBy('home.city')],
  search: [search('name', `50%_\\'ä`)],
  'search, any case': [search('name', `50%_\\'ä`, { ignoreCase: true })],
  'search in several': [search(['name', 'email'], 'x')],
  'search in an embedded object': [search('home.city', 'x')],
  'search over a relation': [search('notes.title', 'x')],
  notInSearch: [notInSearch(['name', 'email'], 'x')],
  collection: [collection('status', ['draft', 'active'])],
  'collection of nothing': [collection('id', [])],
  'no collection': [collection('id', undefined)],
  notInCollection: [notInCollection('id', [1, 2])],
  'notInCollection of nothing': [notInCollection('id', [])],
  beforeAfter: [beforeAfter('born', { before: at, after: at })],
  'beforeAfter, one side': [beforeAfter('born', { before: at, after: null })],
  'beforeAfter, no side': [beforeAfter('born', {})],
  onBeforeAfter: [onBeforeAfter('born', { onOrBefore: at, onOrAfter: at })],
  isNull: [isNull('email')],
  notNull: [notNull('email')],
  eq: [comparison('age', 'eq', 7)],
  'eq null': [comparison('email', 'eq', null)],
  ne: [comparison('age', 'ne', 7)],
  'ne null': [comparison('email', 'ne', null)],
  gt: [comparison('age', 'gt', 7)],
  ge: [comparison('age', 'ge', 7)],
  lt: [comparison('age', 'lt', 7)],
  le: [comparison('age', 'le', 7)],
  in: [comparison('age', 'in', [7, 8])],
  notIn: [comparison('age', 'notIn', [7, 8])],
  between: [comparison('age', 'between', [7, 9])],
  contains: [comparison('name', 'contains', '50%')],
  startsWith: [comparison('name', 'startsWith', '50%')],
  'text that ends a literal': [comparison('name', 'eq', `'; drop table author; -- \\' ?`)],
  'an embedded object': [comparison('home.city', 'eq', 'x')],
  'an embedded object as JSON': [comparison('work.city', 'eq', 'x')],
  'over a relation to many': [comparison('notes.title', 'eq', 'x')],
  exists: [exists('notes')],
  'exists that': [exists('notes', comparison('pinned', 'eq', true), search('title', 'x'))],
  notExists: [notExists('notes')],
  'notExists that': [notExists('notes', comparison('pinned', 'eq', true))],
  'filterGroup or': [filterGroup('or', [isNull('email'), comparison('age', 'lt', 7)])],
  'filterGroup and': [
    filterGroup('and', [
      isNull('email'),
      filterGroup('or', [comparison('age', 'lt', 7), comparison('age', 'gt', 9)]),
    ]),
  ],
  'filterGroup or of nothing': [filterGroup('or', [])],
  'filterGroup and of nothing': [filterGroup('and', [])],
  several: [isNull('email'), comparison('age', 'lt', 7), orderBy('name')],
}
const NOTES: Record<string, Filter<FieldsOf<Note>>[]> = {
  'orderBy over a relation': [orderBy('author.name')],
  'over a relation': [comparison('author.name', 'eq', 'x')],
  'a relation': [comparison('author', 'eq', 7)],
  'over two relations': [comparison('author.notes.title', 'eq', 'x')],
  'exists to one': [exists('author')],
  'exists to one that': [exists('author', comparison('name', 'eq', 'x'))],
  'notExists to one': [notExists('author')],
  'notExists to one that': [notExists('author', comparison('name', 'eq', 'x'))],
  'exists through a table between': [exists('tags', comparison('name', 'eq', 'x'))],
}

/** The SQL; where MariaDB or SQLite say it in other words than PostgreSQL, theirs, with `"` for backticks. */
const SQL: Record<string, string | Record<TestBackend['dialect'], string>> = {
  limitOffset: 'order by "a0"."id" asc limit 20 offset 40',
  orderBy: 'order by "a0"."name" asc, "a0"."id" desc',
  'orderBy of an embedded object': 'order by "a0"."home_city" asc',
  search: {
    postgresql: `where "a0"."name" like E'%50\\\\%\\\\_\\\\\\\\''ä%'`,
    mysql: `where "a0"."name" like convert('%50!%!_\\\\\\'ä%' using utf8mb4) collate utf8mb4_bin escape '!'`,
    sqlite: `where "a0"."name" glob '*50%_\\''ä*'`,
  },
  'search, any case': {
    postgresql: `where "a0"."name" ilike E'%50\\\\%\\\\_\\\\\\\\''ä%'`,
    mysql: `where lower(convert("a0"."name" using utf8mb4)) collate utf8mb4_bin like lower(convert('%50!%!_\\\\\\'ä%' using utf8mb4)) escape '!'`,
    sqlite: `where "a0"."name" glob '*50%_\\''[äÄ]*'`,
  },
  'search in several': {
    postgresql: `where ("a0"."name" like '%x%' or "a0"."email" like '%x%')`,
    mysql: `where ("a0"."name" like convert('%x%' using utf8mb4) collate utf8mb4_bin escape '!' or "a0"."email" like convert('%x%' using utf8mb4) collate utf8mb4_bin escape '!')`,
    sqlite: `where ("a0"."name" glob '*x*' or "a0"."email" glob '*x*')`,
  },
  'search in an embedded object': {
    postgresql: `where "a0"."home_city" like '%x%'`,
    mysql: `where "a0"."home_city" like convert('%x%' using utf8mb4) collate utf8mb4_bin escape '!'`,
    sqlite: `where "a0"."home_city" glob '*x*'`,
  },
  'search over a relation': {
    postgresql: `where "a0"."id" in (select "a0"."id" from "author" as "a0" inner join "note" as "n1" on "a0"."id" = "n1"."author_id" where "n1"."title" like '%x%')`,
    mysql: `where "a0"."id" in (select "a0"."id" from "author" as "a0" inner join "note" as "n1" on "a0"."id" = "n1"."author_id" where "n1"."title" like convert('%x%' using utf8mb4) collate utf8mb4_bin escape '!')`,
    sqlite: `where "a0"."id" in (select "a0"."id" from "author" as "a0" inner join "note" as "n1" on "a0"."id" = "n1"."author_id" where "n1"."title" glob '*x*')`,
  },
  notInSearch: {
    postgresql: `where ("a0"."name" is null or not ("a0"."name" like '%x%')) and ("a0"."email" is null or not ("a0"."email" like '%x%'))`,
    mysql: `where ("a0"."name" is null or not ("a0"."name" like convert('%x%' using utf8mb4) collate utf8mb4_bin escape '!')) and ("a0"."email" is null or not ("a0"."email" like convert('%x%' using utf8mb4) collate utf8mb4_bin escape '!'))`,
    sqlite: `where ("a0"."name" is null or not ("a0"."name" glob '*x*')) and ("a0"."email" is null or not ("a0"."email" glob '*x*'))`,
  },
  collection: `where "a0"."status" in ('draft', 'active')`,
  'collection of nothing': 'where 1 = 0',
  'no collection': '',
  notInCollection: 'where "a0"."id" not in (1, 2)',
  'notInCollection of nothing': '',
  beforeAfter: {
    postgresql: `where "a0"."born" < '2026-01-02T03:04:05.678Z' and "a0"."born" > '2026-01-02T03:04:05.678Z'`,
    mysql: `where "a0"."born" < '2026-01-02 03:04:05.678' and "a0"."born" > '2026-01-02 03:04:05.678'`,
    sqlite: 'where "a0"."born" < 1767323045678 and "a0"."born" > 1767323045678',
  },
  'beforeAfter, one side': {
    postgresql: `where "a0"."born" < '2026-01-02T03:04:05.678Z'`,
    mysql: `where "a0"."born" < '2026-01-02 03:04:05.678'`,
    sqlite: 'where "a0"."born" < 1767323045678',
  },
  'beforeAfter, no side': '',
  onBeforeAfter: {
    postgresql: `where "a0"."born" <= '2026-01-02T03:04:05.678Z' and "a0"."born" >= '2026-01-02T03:04:05.678Z'`,
    mysql: `where "a0"."born" <= '2026-01-02 03:04:05.678' and "a0"."born" >= '2026-01-02 03:04:05.678'`,
    sqlite: 'where "a0"."born" <= 1767323045678 and "a0"."born" >= 1767323045678',
  },
  isNull: 'where "a0"."email" is null',
  notNull: 'where "a0"."email" is not null',
  eq: 'where "a0"."age" = 7',
  'eq null': 'where "a0"."email" is null',
  ne: 'where "a0"."age" != 7',
  'ne null': 'where "a0"."email" is not null',
  gt: 'where "a0"."age" > 7',
  ge: 'where "a0"."age" >= 7',
  lt: 'where "a0"."age" < 7',
  le: 'where "a0"."age" <= 7',
  in: 'where "a0"."age" in (7, 8)',
  notIn: 'where "a0"."age" not in (7, 8)',
  between: 'where "a0"."age" >= 7 and "a0"."age" <= 9',
  contains: {
    postgresql: `where "a0"."name" like E'%50\\\\%%'`,
    mysql: `where "a0"."name" like convert('%50!%%' using utf8mb4) collate utf8mb4_bin escape '!'`,
    sqlite: `where "a0"."name" glob '*50%*'`,
  },
  startsWith: {
    postgresql: `where "a0"."name" like E'50\\\\%%'`,
    mysql: `where "a0"."name" like '50!%%' escape '!' and "a0"."name" like convert('50!%%' using utf8mb4) collate utf8mb4_bin escape '!'`,
    sqlite: `where "a0"."name" glob '50%*'`,
  },
  'text that ends a literal': {
    postgresql: `where "a0"."name" = E'''; drop table author; -- \\\\'' ?'`,
    mysql: `where "a0"."name" = '\\'; drop table author; -- \\\\\\' ?'`,
    sqlite: `where "a0"."name" = '''; drop table author; -- \\'' ?'`,
  },
  'an embedded object': `where "a0"."home_city" = 'x'`,
  'an embedded object as JSON': {
    postgresql: `where "a0"."work"->>'city' = 'x'`,
    mysql: `where json_extract("a0"."work", '$.city') = 'x'`,
    sqlite: `where json_extract("a0"."work", '$.city') = 'x'`,
  },
  'over a relation to many': `where "a0"."id" in (select "a0"."id" from "author" as "a0" inner join "note" as "n1" on "a0"."id" = "n1"."author_id" where "n1"."title" = 'x')`,
  exists:
    'where "a0"."id" in (select "a0"."id" from "author" as "a0" inner join "note" as "n1" on "a0"."id" = "n1"."author_id")',
  'exists that': {
    postgresql: `where "a0"."id" in (select "a0"."id" from "author" as "a0" inner join "note" as "n1" on "a0"."id" = "n1"."author_id" where "n1"."pinned" = true and "n1"."title" like '%x%')`,
    mysql: `where "a0"."id" in (select "a0"."id" from "author" as "a0" inner join "note" as "n1" on "a0"."id" = "n1"."author_id" where "n1"."pinned" = true and "n1"."title" like convert('%x%' using utf8mb4) collate utf8mb4_bin escape '!')`,
    sqlite: `where "a0"."id" in (select "a0"."id" from "author" as "a0" inner join "note" as "n1" on "a0"."id" = "n1"."author_id" where "n1"."pinned" = true and "n1"."title" glob '*x*')`,
  },
  notExists:
    'where "a0"."id" not in (select "a0"."id" from "author" as "a0" inner join "note" as "n1" on "a0"."id" = "n1"."author_id")',
  'notExists that':
    'where "a0"."id" not in (select "a0"."id" from "author" as "a0" inner join "note" as "n1" on "a0"."id" = "n1"."author_id" where "n1"."pinned" = true)',
  'filterGroup or': 'where ("a0"."email" is null or "a0"."age" < 7)',
  'filterGroup and': 'where "a0"."email" is null and ("a0"."age" < 7 or "a0"."age" > 9)',
  'filterGroup or of nothing': 'where 1 = 0',
  'filterGroup and of nothing': '',
  several: 'where "a0"."email" is null and "a0"."age" < 7 order by "a0"."name" asc',
  'note: orderBy over a relation':
    'left join "author" as "a1" on "n0"."author_id" = "a1"."id" order by "a1"."name" asc',
  'note: over a relation': `left join "author" as "a1" on "n0"."author_id" = "a1"."id" where "a1"."name" = 'x'`,
  'note: a relation': 'where "n0"."author_id" = 7',
  'note: over two relations': `left join "author" as "a1" on "n0"."author_id" = "a1"."id" where "a1"."id" in (select "n0"."id" from "author" as "n0" inner join "note" as "n1" on "n0"."id" = "n1"."author_id" where "n1"."title" = 'x')`,
  'note: exists to one': 'where "n0"."author_id" is not null',
  'note: exists to one that': `left join "author" as "a1" on "n0"."author_id" = "a1"."id" where "n0"."author_id" is not null and "a1"."name" = 'x'`,
  'note: notExists to one': 'where "n0"."author_id" is null',
  'note: notExists to one that': `left join "author" as "a1" on "n0"."author_id" = "a1"."id" where ("n0"."author_id" is null or (("a1"."name" is null or not ("a1"."name" = 'x'))))`,
  'note: exists through a table between': `where "n0"."id" in (select "n0"."id" from "note" as "n0" inner join "note_tags" as "n2" on "n0"."id" = "n2"."note_id" inner join "tag" as "t1" on "n2"."tag_id" = "t1"."id" where "t1"."name" = 'x')`,
}

await onEveryBackend(t, async (t, backend) => {
  const { em, sqlOf } = await library(t, backend)

  const assertSql = (t: Test, name: string, [sql = '', ...more]: string[]) => {
    const expected = SQL[name]
    const said = sql.replace(/^select .*? from (["`])(?:author|note)\1 as \1[an]0\1 ?/s, '')
    t.equal(
      backend.dialect === 'postgresql' ? said : said.replaceAll('`', '"'),
      typeof expected === 'string' ? expected : expected?.[backend.dialect],
      name,
    )
    t.strictSame(more, [], 'one statement')
  }

  t.test('the SQL of every filter', async t => {
    const on = em()
    for (const [name, filters] of Object.entries(AUTHORS)) {
      assertSql(t, name, await sqlOf(() => new Repository(Author, on).list(...filters)))
    }
    for (const [name, filters] of Object.entries(NOTES)) {
      assertSql(t, `note: ${name}`, await sqlOf(() => new Repository(Note, on).list(...filters)))
    }
    t.equal(Object.keys(SQL).length, Object.keys(AUTHORS).length + Object.keys(NOTES).length)
  })
})
