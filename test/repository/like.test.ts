import { defineEntity, p } from '@mikro-orm/core'
import t, { type Test } from 'tap'
import { type LikeOptions, likeCondition } from '../../plugins/repository/like.ts'
import type { SqlOrm } from '../../src/engines/orm.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'

const Author = defineEntity({
  name: 'Author',
  properties: { id: p.integer().primary(), name: p.string() },
})
const Address = defineEntity({ name: 'Address', embeddable: true, properties: { city: p.string() } })
const Book = defineEntity({
  name: 'Book',
  properties: {
    id: p.integer().primary(),
    name: p.string().nullable(),
    kind: p.enum(['novel', 'poem']).nullable(),
    pages: p.integer().nullable(),
    key: p.uuid().nullable(),
    tags: p.array().nullable(),
    written: p.datetime().nullable(),
    price: p.decimal('string').nullable(),
    notes: p.json<string[]>().nullable(),
    printed: () => p.embedded(Address).nullable(),
    sold: () => p.embedded(Address).object().nullable(),
    author: () => p.manyToOne(Author).nullable(),
  },
})

const LIKE = "`b`.`name` like ? escape '!'"
const BINARY_LIKE = "`b`.`name` like convert(? using utf8mb4) collate utf8mb4_bin escape '!'"
const LOWER_LIKE =
  'lower(convert(`b`.`name` using utf8mb4)) collate utf8mb4_bin ' +
  "like lower(convert(? using utf8mb4)) escape '!'"

const MODES = ['contains', 'prefix', 'exact'] as const
const WAYS = MODES.flatMap(mode => [true, false].map(ignoreCase => ({ mode, ignoreCase })))

function bookLike(orm: SqlOrm, field: string, text: string, options: LikeOptions) {
  const property = orm.getMetadata().get(Book).properties[field as 'name']
  return likeCondition(orm.em.getPlatform(), property, text, options)
}

/** What the condition means, in JavaScript. */
function holds(value: string, text: string, { mode, ignoreCase }: LikeOptions): boolean {
  const [a, b] = ignoreCase ? [value.toLowerCase(), text.toLowerCase()] : [value, text]
  if (mode === 'exact') return a === b
  return mode === 'prefix' ? a.startsWith(b) : a.includes(b)
}

/** The same pseudo-random strings in every run, out of letters of both cases, wildcards and escape characters. */
function strings(count: number, longest: number): string[] {
  const alphabet = ['a', 'A', 'b', 'é', 'É', 'e', 'Ж', 'ж', '%', '_', '\\', '!', '*', '?', '[', ']', '^', '-']
  alphabet.push(' ', "'", '"', '\n', '😀', ':x', '??')
  let state = 42
  const random = (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((state / 2_147_483_648) * below)
  }
  return Array.from({ length: count }, () =>
    Array.from({ length: random(longest + 1) }, () => alphabet[random(alphabet.length)]).join(''),
  )
}

/** The condition on "b"."name", and the value that is bound, for the text `a%_!\*`. */
const SQL: Record<TestBackend['dialect'], Record<string, [sql: string, ...values: string[]]>> = {
  postgresql: {
    'contains, any case': [`"b"."name" ilike ?`, '%a\\%\\_!\\\\*%'],
    contains: [`"b"."name" like ?`, '%a\\%\\_!\\\\*%'],
    'prefix, any case': [`"b"."name" ilike ?`, 'a\\%\\_!\\\\*%'],
    prefix: [`"b"."name" like ?`, 'a\\%\\_!\\\\*%'],
    'exact, any case': [`"b"."name" ilike ?`, 'a\\%\\_!\\\\*'],
    exact: [`"b"."name" = ?`, 'a%_!\\*'],
  },
  mysql: {
    'contains, any case': [LOWER_LIKE, '%a!%!_!!\\*%'],
    contains: [BINARY_LIKE, '%a!%!_!!\\*%'],
    'prefix, any case': [LOWER_LIKE, 'a!%!_!!\\*%'],
    prefix: [`${LIKE} and ${BINARY_LIKE}`, 'a!%!_!!\\*%', 'a!%!_!!\\*%'],
    'exact, any case': [LOWER_LIKE, 'a!%!_!!\\*'],
    exact: [`${LIKE} and ${BINARY_LIKE}`, 'a!%!_!!\\*', 'a!%!_!!\\*'],
  },
  sqlite: {
    'contains, any case': ['`b`.`name` glob ?', '*[aA]%_!\\[*]*'],
    contains: ['`b`.`name` glob ?', '*a%_!\\[*]*'],
    'prefix, any case': ['`b`.`name` glob ?', '[aA]%_!\\[*]*'],
    prefix: ['`b`.`name` glob ?', 'a%_!\\[*]*'],
    'exact, any case': ['`b`.`name` glob ?', '[aA]%_!\\[*]'],
    exact: ['`b`.`name` glob ?', 'a%_!\\[*]'],
  },
}

await onEveryBackend(t, async (t, backend) => {
  const orm = await backend.orm(t, { entities: [Author, Book] })
  await orm.schema.create()
  const em = () => orm.em.fork()
  const names = async (where: object): Promise<unknown[]> =>
    (await em().find(Book, where as never, { orderBy: { id: 1 } as never })).map(
      book => (book as { name: unknown }).name,
    )

  t.test('the SQL of every mode', async t => {
    for (const way of WAYS) {
      const query = em()
        .createQueryBuilder(Book, 'b')
        .select('id')
        .where(bookLike(orm, 'name', 'a%_!\\*', way))
      const name = way.ignoreCase ? `${way.mode}, any case` : way.mode
      const [, where] = query.getQuery().split(' where ')
      t.strictSame([where, ...query.getParams()], SQL[backend.dialect][name], name)
    }
  })

  t.test('finds what JavaScript finds in 200 strings of letters, wildcards and escapes', async t => {
    const stored = [...strings(200, 6), 'a', 'A', 'a ', 'É', 'e', '']
    await em().insertMany(
      Book,
      stored.map((name, index) => ({ id: index + 1, name })),
    )
    await em().insert(Book, { id: 1_000, name: null })
    t.teardown(() => em().nativeDelete(Book, {}))
    for (const text of [...strings(40, 3), '', 'a', 'é', '%', '_', '\\', '!', '*', '[', '[a]', '[^a]', ' ']) {
      for (const way of WAYS) {
        t.strictSame(
          await names(bookLike(orm, 'name', text, way)),
          stored.filter(value => holds(value, text, way)),
          `${way.mode} ${JSON.stringify(text)}${way.ignoreCase ? ' without case' : ''}`,
        )
      }
    }
  })

  // Before the column's collation is changed.
  t.test('an index serves a prefix whose case counts', t => usesIndex(t, orm, backend.dialect))

  t.test('the collation of the column does not matter', async t => {
    const alter = {
      postgresql: ['alter table "book" alter column "name" type varchar(255) collate "C"'],
      mysql: [
        'alter table book modify name varchar(255) character set utf8mb4 collate utf8mb4_bin',
        'alter table book modify name varchar(255) character set utf8mb4 collate utf8mb4_general_ci',
        'alter table book modify name varchar(255) character set latin1 collate latin1_swedish_ci',
      ],
      sqlite: [],
    }[backend.dialect]
    const stored = ['Ab', 'aB', 'ab', 'Äb', 'b']
    await em().insertMany(
      Book,
      stored.map((name, index) => ({ id: index + 1, name })),
    )
    t.teardown(() => em().nativeDelete(Book, {}))
    if (backend.dialect === 'sqlite') {
      // SQLite says the collation of a column when the table is made.
      const connection = orm.em.getConnection()
      await connection.execute('drop index ix_book_name')
      await connection.execute('alter table book drop column name')
      await connection.execute('alter table book add column name text collate nocase')
      for (const [index, name] of stored.entries()) await em().nativeUpdate(Book, { id: index + 1 }, { name })
    }
    for (const sql of alter.length > 0 ? alter : ['']) {
      if (sql) await orm.em.getConnection().execute(sql)
      for (const text of ['a', 'ab', 'B', '漢']) {
        for (const way of WAYS) {
          t.strictSame(
            await names(bookLike(orm, 'name', text, way)),
            stored.filter(value => holds(value, text, way)),
            `${sql} ${way.mode} ${text}${way.ignoreCase ? ' without case' : ''}`,
          )
        }
      }
    }
  })

  t.test('under a relation, in groups and negated, beside joins', async t => {
    const one = em()
    const ann = one.create(Author, { id: 1, name: 'ANN%' })
    const bob = one.create(Author, { id: 2, name: 'bob' })
    one.create(Book, { id: 1, name: 'Ann and me', author: bob, printed: { city: 'Rome' }, kind: 'novel' })
    one.create(Book, { id: 2, name: 'Bees', author: ann, printed: { city: 'Paris' }, kind: 'poem' })
    one.create(Book, { id: 3, name: 'Cats' })
    await one.flush()
    t.teardown(async () => {
      await em().nativeDelete(Book, {})
      await em().nativeDelete(Author, {})
    })
    for (const ignoreCase of [true, false]) {
      const way = { mode: 'prefix', ignoreCase } as const
      const name = (text: string) => bookLike(orm, 'name', text, way)
      const author = (text: string) => ({
        author: likeCondition(orm.em.getPlatform(), orm.getMetadata().get(Author).properties.name, text, way),
      })
      const A = ignoreCase ? 'aNn%' : 'ANN%'
      t.strictSame(await names(author(A)), ['Bees'])
      t.strictSame(await names({ $or: [name('Ann'), author(A)] }), ['Ann and me', 'Bees'])
      t.strictSame(await names({ $and: [name('Ann'), author('bob')] }), ['Ann and me'])
      t.strictSame(await names({ $not: name('Ann') }), ['Bees', 'Cats'])
      t.strictSame(await names({ author: { $not: (author('bob') as { author: object }).author } }), ['Bees'])
      t.strictSame(await names(bookLike(orm, 'printed_city', 'Par', way)), ['Bees'], 'of an embeddable')
      t.strictSame(await names(bookLike(orm, 'kind', 'po', way)), ['Bees'], 'of an enum')
      const [rows, count] = await em().findAndCount(Book, { $or: [name('Ann'), author(A)] } as never, {
        populate: ['author'] as never,
        limit: 1,
        orderBy: { author: { name: 1 } } as never,
      })
      t.strictSame([rows.length, count], [1, 2])
    }
  })

  t.test('in an UPDATE and a DELETE, with the column unqualified', async t => {
    for (const way of WAYS) {
      const unqualified = { ...way, qualified: false }
      await em().insertMany(Book, [
        { id: 1, name: 'one' },
        { id: 2, name: 'two' },
      ])
      t.equal(
        await em().nativeUpdate(Book, bookLike(orm, 'name', 'one', unqualified) as never, { pages: 7 }),
        1,
      )
      t.equal(await em().nativeDelete(Book, bookLike(orm, 'name', 'one', unqualified) as never), 1)
      t.strictSame(await names({}), ['two'])
      await em().nativeDelete(Book, {})
    }
  })

  t.test('a column that holds no text is refused', async t => {
    const refused = [
      'id',
      'pages',
      'key',
      'tags',
      'written',
      'price',
      'notes',
      'printed',
      'author',
      'sold~city',
    ]
    for (const field of refused) {
      t.throws(() => bookLike(orm, field, 'a', { mode: 'contains', ignoreCase: true }), {
        code: 'SQLA_ERR_INVALID_FILTER',
        statusCode: 400,
        message: `Invalid filter: field '${field}' is searched for text but is no text column`,
      })
    }
  })

  t.test('a text may have 4,096 characters, and no U+0000', async t => {
    // The patterns of greatest length: a letter whose cases are three bytes each, and wildcards that are escaped.
    for (const letter of ['Ა', 'ǅ', '*', '%']) {
      for (const way of WAYS) {
        t.strictSame(await names(bookLike(orm, 'name', letter.repeat(4_096), way)), [])
        t.throws(() => bookLike(orm, 'name', letter.repeat(4_097), way), { code: 'SQLA_ERR_INVALID_FILTER' })
      }
    }
    t.throws(() => bookLike(orm, 'name', 'a\0', { mode: 'exact', ignoreCase: false }), {
      code: 'SQLA_ERR_INVALID_FILTER',
    })
  })
})

async function usesIndex(t: Test, orm: SqlOrm, dialect: TestBackend['dialect']): Promise<void> {
  const em = orm.em.fork()
  t.teardown(() => em.nativeDelete(Book, {}))
  await em.execute(
    dialect === 'postgresql'
      ? 'create index ix_book_name on book (name varchar_pattern_ops)'
      : 'create index ix_book_name on book (name)',
  )
  const rows = Array.from({ length: 3_000 }, (_, index) => ({ id: index + 1, name: `name ${index}` }))
  await em.insertMany(Book, rows)
  await em.execute(dialect === 'mysql' ? 'analyze table book' : 'analyze book')
  const where = bookLike(orm, 'name', 'name 77', { mode: 'prefix', ignoreCase: false })
  const query = em.createQueryBuilder(Book, 'b').select('id').where(where)
  const explain = { postgresql: 'explain', mysql: 'explain', sqlite: 'explain query plan' }[dialect]
  // Bound, not inlined, where the driver binds.
  const native = query.getNativeQuery().compile()
  const plan = JSON.stringify(await em.execute(`${explain} ${native.sql}`, [...native.params]))
  t.match(plan, /ix_book_name/)
  t.match(plan, { postgresql: /Index Cond/, mysql: /"range"/, sqlite: /SEARCH b USING/ }[dialect], plan)
}
