import { defineEntity, p } from '@mikro-orm/core'
import t from 'tap'
import { nameConstraints, SqlAssistNamingStrategy } from '../../plugins/repository/naming-strategy.ts'
import type { SqlOrm } from '../../src/engines/orm.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'

const Tag = defineEntity({
  name: 'Tag',
  properties: { id: p.integer().primary(), label: p.string().unique() },
})
const Author = defineEntity({
  name: 'Author',
  properties: {
    country: p.string().length(2).primary(),
    number: p.integer().primary(),
    penName: p.string().unique(),
  },
})
const Book = defineEntity({
  name: 'Book',
  uniques: [{ properties: ['title', 'edition'] }, { properties: ['title', 'isbn'] }],
  indexes: [{ properties: ['edition', 'title'] }, { properties: ['isbn'], name: 'as_given' }],
  checks: [
    { name: 'early', expression: 'edition < 100' },
    { name: 'ck_book_first', expression: 'edition <> 13' },
    { expression: 'edition <> 14' },
    { expression: 'edition <> 15' },
  ],
  properties: {
    id: p.integer().primary(),
    title: p.string(),
    isbn: p.string().unique(),
    edition: p.integer().index().check('edition > 0'),
    kind: p.enum(['novel', 'poem']),
    sequelOf: () => p.manyToOne(Book).nullable(),
    tags: () => p.manyToMany(Tag),
    aPropertyWithAVeryLongNameIndeedOne: p.string().unique(),
    aPropertyWithAVeryLongNameIndeedTwo: p.string().unique(),
  },
})
const Reprint = defineEntity({
  name: 'Reprint',
  properties: {
    id: p.integer().primary(),
    book: () => p.manyToOne(Book).foreignKeyName('also_as_given'),
    author: () => p.manyToOne(Author),
  },
})
const Shelf = defineEntity({
  name: 'AShelfInTheLibraryOfAVeryLongNameÜÜÜÜÜÜÜ',
  properties: {
    id: p.integer().primary(),
    thePlaceWhereItStands: p.string().unique(),
    thePlaceWhereItStood: p.string().unique(),
    book: () => p.manyToOne(Book),
  },
})
// Two hierarchies: in one table, and a table per type.
const Named = defineEntity({
  name: 'Named',
  discriminatorColumn: 'type',
  checks: [{ name: 'early', expression: 'size < 100' }],
  properties: {
    id: p.integer().primary(),
    type: p.enum(['named', 'child']),
    size: p.integer(),
    tag: () => p.manyToOne(Tag),
  },
})
const Child = defineEntity({
  name: 'Child',
  extends: Named,
  discriminatorValue: 'child',
  properties: { other: () => p.manyToOne(Tag).nullable() },
})
const Person = defineEntity({ name: 'Person', inheritance: 'tpt', properties: { id: p.integer().primary() } })
const Writer = defineEntity({
  name: 'Writer',
  extends: Person,
  properties: { tag: () => p.manyToOne(Tag) },
})

const COMMON = {
  primary: ['pk_author', 'pk_book', 'pk_book_tags', 'pk_reprint', 'pk_tag'],
  foreign: ['fk_book_sequel_of_id_book', 'fk_book_tags_book_id_book', 'fk_book_tags_tag_id_tag'],
  unique: [
    'uq_author_pen_name',
    'uq_book_isbn',
    'uq_book_title_edition',
    'uq_book_title_isbn',
    'uq_tag_label',
  ],
  index: ['as_given', 'ix_book_edition', 'ix_book_edition_title'],
  /** MikroORM makes these on every database but PostgreSQL. */
  foreignIndex: ['ix_book_sequel_of_id', 'ix_book_tags_book_id', 'ix_book_tags_tag_id'],
  // The second check without a name ends with a hash of its expression.
  check: ['ck_book', 'ck_book_89bff9e7', 'ck_book_early', 'ck_book_first'],
}

/** The names in the database's own catalogue, without those of the entity whose names are cut. */
async function namesIn(orm: SqlOrm, dialect: TestBackend['dialect']): Promise<Record<string, string[]>> {
  const sql = {
    postgresql: `
      select conname as name, case contype when 'p' then 'primary' when 'f' then 'foreign' when 'u' then 'unique'
        else 'check' end as type
        from pg_constraint where connamespace = 'public'::regnamespace and contype in ('p', 'f', 'u', 'c')
      union all select indexrelid::regclass::text, 'index' from pg_index
        where indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)
        and not indisprimary and not indisunique`,
    mysql: `
      select constraint_name as name, case constraint_type when 'PRIMARY KEY' then 'primary'
        when 'FOREIGN KEY' then 'foreign' when 'UNIQUE' then 'unique' else 'check' end as type
        from information_schema.table_constraints where table_schema = schema()
      union all select index_name, 'index' from information_schema.statistics
        where table_schema = schema() and non_unique = 1 and seq_in_index = 1`,
    sqlite: `
      select name, case when sql like 'create unique%' then 'unique' else 'index' end as type
        from sqlite_master where type = 'index' and sql is not null`,
  }[dialect]
  const rows = (await orm.em.getConnection().execute(sql)) as { name: string; type: string }[]
  if (dialect === 'sqlite') {
    // Names of table constraints are in the statement that made the table, and nowhere else.
    for (const { sql } of (await orm.em
      .getConnection()
      .execute("select sql from sqlite_master where type = 'table'")) as { sql: string }[]) {
      for (const [, name, kind] of sql.matchAll(/constraint `([^`]+)` (foreign|check|primary)/g)) {
        rows.push({ name: name as string, type: kind as string })
      }
    }
  }
  const names: Record<string, string[]> = {}
  for (const { name, type } of rows) {
    if (/shelf|very_long/i.test(name)) continue
    names[type] = [...(names[type] ?? []), name.replaceAll('"', '')].sort()
  }
  return names
}

await onEveryBackend(t, async (t, backend) => {
  // On SQLite MikroORM takes a foreign key with a name of its own, or of several columns, for changed, for ever.
  const entities = [Tag, Author, Book, Shelf, ...(backend.dialect === 'sqlite' ? [] : [Reprint])]
  const naming = {
    namingStrategy: SqlAssistNamingStrategy,
    discovery: { afterDiscovered: nameConstraints },
  }

  t.test('names constraints and indexes by the convention', async t => {
    const orm = await backend.orm(t, { entities, ...naming })
    await orm.schema.create()
    t.teardown(() => orm.schema.drop())
    const names = await namesIn(orm, backend.dialect)
    const { primary, foreign, unique, index, foreignIndex, check } = COMMON
    // SQLite keeps no name of a column's check, and an enum of MariaDB is a type.
    const inColumns = ['ck_book_edition', 'ck_book_kind']
    t.strictSame(
      names,
      {
        postgresql: {
          primary,
          foreign: ['also_as_given', ...foreign, 'fk_reprint_author_country_author_number_author'],
          unique,
          index,
          check: [...check, ...inColumns].sort(),
        },
        mysql: {
          primary: [...primary, 'shelf'].map(() => 'PRIMARY'),
          foreign: ['also_as_given', ...foreign, 'fk_reprint_author_country_author_number_author'],
          unique,
          index: [
            ...index,
            ...foreignIndex,
            'ix_reprint_author_country_author_number',
            'ix_reprint_book_id',
          ].sort(),
          check: [...check, 'ck_book_edition'].sort(),
        },
        sqlite: { foreign, unique, index: [...index, ...foreignIndex].sort(), check },
      }[backend.dialect],
    )
    t.equal(await orm.schema.getUpdateSchemaSQL(), '', 'and the database is what the entities say')
  })

  t.test('a name of more than 63 bytes is cut and ends with a hash of the whole', async t => {
    const orm = await backend.orm(t, { entities, ...naming })
    await orm.schema.create()
    t.teardown(() => orm.schema.drop())
    const sql = await orm.schema.getCreateSchemaSQL()
    const names = [...sql.matchAll(/[`"]((?:fk|uq|pk)_(?:ashelf|book_a_prop)[^`"]+)[`"]/g)].map(
      m => `${m[1]}`,
    )
    t.strictSame(
      names.filter(name => name.startsWith('uq')),
      [
        'uq_book_a_property_with_avery_long_name_indeed_one',
        'uq_book_a_property_with_avery_long_name_indeed_two',
        'uq_ashelf_in_the_library_of_avery_long_nameüüüüü_c84e506b',
        'uq_ashelf_in_the_library_of_avery_long_nameüüüüü_3f8609f6',
      ].sort((one, other) => names.indexOf(one) - names.indexOf(other)),
    )
    t.ok(names.some(name => name.startsWith('fk_ashelf')))
    for (const name of names) t.ok(Buffer.byteLength(name) <= 63, name)
    t.equal(await orm.schema.getUpdateSchemaSQL(), '', 'as the database keeps it')
  })

  t.test('names given by another instance on the same entities do not come along', async t => {
    const named = await backend.orm(t, { entities, ...naming })
    const plain = await backend.orm(t, { entities })
    t.match(await named.schema.getCreateSchemaSQL(), /fk_book_sequel_of_id_book/)
    const sql = await plain.schema.getCreateSchemaSQL()
    t.match(sql, /book_sequel_of_id_foreign/)
    t.notMatch(sql, /fk_book_sequel|ck_book_early/)
  })

  t.test(
    'without nameConstraints, what the entities say of checks and referred tables is not known',
    async t => {
      const orm = await backend.orm(t, {
        entities: [Tag, Named, Child],
        namingStrategy: SqlAssistNamingStrategy,
      })
      const sql = await orm.schema.getCreateSchemaSQL()
      t.match(sql, /fk_named_tag_id[`"]/)
      t.match(sql, /[`"]early[`"]/)
      await orm.schema.create()
      t.teardown(() => orm.schema.drop())
      t.equal(await orm.schema.getUpdateSchemaSQL(), '')
    },
  )

  t.test('a hierarchy in one table and one in several', async t => {
    const orm = await backend.orm(t, { entities: [Tag, Named, Child, Person, Writer], ...naming })
    await orm.schema.create()
    t.teardown(() => orm.schema.drop())
    const { foreign } = await namesIn(orm, backend.dialect)
    t.strictSame(foreign, [
      'fk_named_other_id_tag',
      'fk_named_tag_id_tag',
      'fk_writer_id_person',
      'fk_writer_tag_id_tag',
    ])
    t.equal(await orm.schema.getUpdateSchemaSQL(), '')
  })

  t.test('nameConstraints with another naming strategy is refused', async t => {
    await t.rejects(async () => backend.orm(t, { entities: [Tag], discovery: naming.discovery }), {
      code: 'SQLA_ERR_INVALID_OPTION',
      message: /discovery.afterDiscovered is nameConstraints, which needs namingStrategy/,
    })
  })

  if (backend.dialect === 'postgresql') {
    t.test('the schema of a table is not in the name', async t => {
      const In = defineEntity({
        name: 'In',
        tableName: 'library.inner',
        properties: { id: p.integer().primary(), code: p.string().unique(), tag: () => p.manyToOne(Tag) },
      })
      const orm = await backend.orm(t, { entities: [Tag, In], ...naming })
      await orm.schema.create()
      t.teardown(() => orm.schema.drop())
      const names = (await orm.em.execute(
        "select conname from pg_constraint where connamespace = 'library'::regnamespace and contype <> 'n' order by 1",
      )) as { conname: string }[]
      t.strictSame(
        names.map(({ conname }) => conname),
        ['fk_inner_tag_id_tag', 'pk_inner', 'uq_inner_code'],
      )
    })
  }
})
