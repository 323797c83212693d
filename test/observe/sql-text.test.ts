import { MariaDbPlatform } from '@mikro-orm/mariadb'
import { MySqlPlatform } from '@mikro-orm/mysql'
import { PostgreSqlPlatform } from '@mikro-orm/postgresql'
import { SqlitePlatform } from '@mikro-orm/sqlite'
import fc from 'fast-check'
import t from 'tap'
import { tokensOf, withoutValues } from '../../src/observe/sql-text.ts'

const DIALECTS = ['postgresql', 'mysql', 'mariadb', 'sqlite'] as const
const PLATFORMS = {
  postgresql: new PostgreSqlPlatform(),
  mysql: new MySqlPlatform(),
  mariadb: new MariaDbPlatform(),
  sqlite: new SqlitePlatform(),
}
const RUNS = 400

/** A text of the things that lexers stumble over. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...[
          "'",
          "''",
          '"',
          '`',
          '\\',
          "\\'",
          '$$',
          '$a$',
          '$1',
          '?',
          '??',
          ':name',
          '--',
          '-- ',
          '#',
          '/*',
          '*/',
          '/*!',
          '[',
          ']',
        ],
        ...[
          '\n',
          '\r',
          '\0',
          '\x1a',
          ' ',
          "E'",
          "U&'",
          "x'",
          '(',
          ')',
          ',',
          ';',
          '-5',
          '1e5',
          '0xff',
          '::',
          'secret',
          'é',
          '\ud800',
          '\u00a0',
        ],
      ),
      fc.string({ maxLength: 5 }),
    ),
    { maxLength: 12 },
  )
  .map(parts => parts.join(''))

const value = fc.oneof(
  hostile,
  hostile,
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.bigInt(),
  fc.date({ noInvalidDate: true, min: new Date('1970-01-01'), max: new Date('2100-01-01') }),
  fc.dictionary(hostile, hostile, { maxKeys: 3 }).map(data => ({ ...data })),
  fc.uint8Array({ maxLength: 8 }).map(bytes => Buffer.from(bytes)),
)

/** With `?` for values, as MikroORM formats them. */
const TEMPLATES = [
  'select `n`.* from `note` as `n` where `n`.`title` = ? and `n`.`stars` in (?, ?) order by `n`.`id` limit ?',
  'insert into `note` (`title`, `text`, `stars`) values (?, ?, ?), (?, null, ?) returning `id`',
  'update `note` set `title` = ?, `text` =? where (`id`, `owner`) in ((?, ?), (?,?)) and not (`a` like ? escape ?)',
  'select case when (`id` = ?) then ? when (`id` = ?) then ? else ? end, coalesce(`a`,?) from `note` offset ?',
  'select `a` -> ? ->> ?, `b` || ? from `note` having count(*) > ? or `c` between ? and ?',
].map(text => text.split('?'))

type Dialect = (typeof DIALECTS)[number]

function fill(parts: readonly string[], dialect: Dialect, quoted: (at: number) => string): string {
  return parts
    .map(part => (dialect === 'postgresql' ? part.replaceAll('`', '"') : part))
    .map((part, at) => (at === 0 ? part : quoted(at) + part))
    .join('')
}

for (const dialect of DIALECTS) {
  t.test(`${dialect}: no value that MikroORM quotes gets through, and only values go`, async t => {
    const check = fc.property(
      fc.constantFrom(...TEMPLATES),
      fc.array(value, { minLength: 9, maxLength: 9 }),
      (template, values) => {
        const sql = fill(template, dialect, at => String(PLATFORMS[dialect].quoteValue(values[at - 1])))
        const expected = fill(template, dialect, at => `$${at}`).replace(/(?<=[=,])\$/g, ' $')
        return withoutValues(sql, dialect) === expected
      },
    )
    t.doesNotThrow(() => fc.assert(check, { numRuns: RUNS }))
  })

  t.test(`${dialect}: any text is split without loss, and has no value left`, async t => {
    const check = fc.property(hostile, hostile, (start, end) => {
      const sql = `select ${start} ${end}`
      const tokens = tokensOf(sql, dialect)
      const result = withoutValues(sql, dialect)
      return (
        tokens.map(token => token.text).join('') === sql &&
        tokens.every(token => token.text !== '') &&
        !tokensOf(result, dialect).some(({ kind }) => kind === 'string' || kind === 'number') &&
        withoutValues(result, dialect) === result
      )
    })
    t.doesNotThrow(() => fc.assert(check, { numRuns: RUNS * 5 }))
  })
}

t.test('each dialect has its own texts', async t => {
  const same = (dialect: string, sql: string, expected: string) =>
    t.equal(withoutValues(sql, dialect), expected, `${dialect}: ${sql}`)
  for (const dialect of DIALECTS) {
    same(dialect, "select 'it''s' , 'b'", 'select $1 , $2')
    same(dialect, "select x'00ff', 0xff, 1e5, 1.5e-3, .5, 10.", 'select $1, $2, $3, $4, $5, $6')
    same(dialect, "select date '2020-01-01', null, true, false", 'select date $1, null, true, false')
    same(dialect, 'select col1, t2.col3 from t_4', 'select col1, t2.col3 from t_4')
    same(dialect, "select 'never closed and secret", 'select $1')
    same(dialect, "select'a'from t", 'select $1 from t')
  }
  same('postgresql', `select "it's", "a""b'", 'c'`, `select "it's", "a""b'", $1`)
  same('postgresql', "select 'back\\', 'slash'", 'select $1, $2')
  same('postgresql', "select E'it\\'s', e'\\\\', 'b'", 'select $1, $2, $3')
  same('postgresql', "select E'a'\n -- it's\n'it\\'s', 'b'", 'select $1, $2')
  same('postgresql', "select E'a' 'it\\', 'b'", 'select $1 $2, $3')
  same('postgresql', "select E'it''s\\''", 'select $1')
  same('postgresql', "select $$it's$$, $tag$ $$ ' $other$ $tag$, 'b'", 'select $1, $2, $3')
  same('postgresql', "select a$b$c, 'x$b$'", 'select a$b$c, $1')
  same('postgresql', `select U&'\\0061\\', U&"it's", b'01', n'x'`, `select $1, U&"it's", $2, $3`)
  same(
    'postgresql',
    "select '{}'::jsonb ? 'a', b ?| array['c'], 1::int",
    'select $1::jsonb ? $2, b ?| array[$3], $4::int',
  )
  same('postgresql', 'select a[1:2], generate_series(1, 5)', 'select a[$1:$2], generate_series($3, $4)')
  same('postgresql', 'for i in 1..10 loop', 'for i in $1..$2 loop')
  same('mysql', `select "it's", "a""b", "c\\"d", 'it\\'s', \`it's\``, "select $1, $2, $3, $4, `it's`")
  same('mysql', "select _utf8mb4'x', n'y', @a := 'z'", 'select _utf8mb4 $1, $2, @a := $3')
  same('sqlite', `select [it's], \`it's\`, "it's", 'back\\', 'x'`, `select [it's], \`it's\`, "it's", $1, $2`)
  same('sqlite', "select ?1, :name, @name, $name, 'x'", 'select ?1, :name, @name, $name, $1')
})

t.test('comments end where the database ends them, and lose what they say', async t => {
  const same = (dialect: string, sql: string, expected: string) =>
    t.equal(withoutValues(sql, dialect), expected, `${dialect}: ${sql}`)
  for (const dialect of DIALECTS) {
    same(dialect, "select /* it's */ 'a' -- it's\n, 'b'", 'select /* */ $1 --\n, $2')
    same(dialect, "select 'a' /* secret", 'select $1 /* */')
  }
  same('postgresql', "select /* a /* it's */ ' */ 'b'", 'select /* */ $1')
  same('postgresql', "select 1 -- it's\r, 'b'", 'select $1 --\r, $2')
  same('postgresql', "select 5--3 it's\n, 'b'", 'select $1--\n, $2')
  same('postgresql', "select a #--3 it's\n - 'b'", 'select a #--\n - $1')
  same('sqlite', "select /* /* it's */ 'b'", 'select /* */ $1')
  same('mysql', "select /* /* it's */ 'b'", 'select /* */ $1')
  same('mysql', "select 5--3, 'a', # it's\n 'b'", 'select $1-$2, $3, #\n $4')
  same('mysql', "select /*!50100 '*/', */ 'b', /* it's */ 'c'", 'select /*!50100 $1, */ $2, /* */ $3')
  same('mariadb', "select /*M!100100 '*/', */ 'b'", 'select /*M!100100 $1, */ $2')
  same('mysql', "select /*M! it's */ 'b'", 'select /* */ $1')
})

t.test('a minus belongs to the number where no value stands before it', async t => {
  const same = (sql: string, expected: string) => t.equal(withoutValues(sql, 'postgresql'), expected, sql)
  same('select -5, (-5), a = -5, a - -5', 'select $1, ($2), a = $3, a - $4')
  same('select a -5, a-5, (a)-5, a[1]-5, 5-5', 'select a -$1, a-$2, (a)-$3, a[$4]-$5, $6-$7')
  same('select 1 limit -5', 'select $1 limit $2')
})

t.test('numbering goes on after the parameters that are there', async t => {
  t.equal(
    withoutValues("select 'a' where b = $2 and c = $11 and d = 5", 'postgresql'),
    'select $12 where b = $2 and c = $11 and d = $13',
  )
  t.equal(withoutValues("select 'a' where b = ? and c = 5", 'mysql'), 'select $1 where b = ? and c = $2')
  t.equal(withoutValues(`select $${'9'.repeat(400)}, 5`, 'postgresql'), `select $${'9'.repeat(400)}, $1`)
})

t.test('tokens have their kinds', async t => {
  t.same(
    tokensOf(`select "a"::int, $1 ->> 'k' -- x`, 'postgresql').map(({ kind, text }) => [kind, text]),
    [
      ['word', 'select'],
      ['space', ' '],
      ['identifier', '"a"'],
      ['symbol', '::'],
      ['word', 'int'],
      ['symbol', ','],
      ['space', ' '],
      ['parameter', '$1'],
      ['space', ' '],
      ['symbol', '->>'],
      ['space', ' '],
      ['string', "'k'"],
      ['space', ' '],
      ['comment', '-- x'],
    ],
  )
  t.same(tokensOf('', 'postgresql'), [])
  t.same(tokensOf('select', '__proto__'), [{ kind: 'word', text: 'select' }])
  t.match(tokensOf('"never closed', 'postgresql'), [{ kind: 'string' }], 'it may hold a text')
})

t.test('a long text takes time in proportion', async t => {
  const pieces = {
    postgresql: ["''", "E'\\'", "E'' \n", "\n'", ' ', '$a', '$a$', '/*', '--\n', '-', '1', '.5', 'a', ':'],
    mysql: ['\\', '"', '/*!', '#\n', '`'],
    sqlite: ['[', '?1'],
  }
  for (const [dialect, repeated] of Object.entries(pieces)) {
    for (const piece of repeated) {
      const sql = `'" ${piece.repeat(1_000_000 / piece.length)}`
      for (const text of [sql, sql.slice(3)]) {
        const startedAt = performance.now()
        withoutValues(text, dialect)
        const took = performance.now() - startedAt
        // Were it the square, it would be minutes.
        if (took > 5_000) t.fail(`${dialect}: ${text.slice(0, 9)}… took ${took} ms`)
      }
    }
  }
  t.pass()
})
