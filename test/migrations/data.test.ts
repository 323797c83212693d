import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chdir, cwd } from 'node:process'
import { p } from '@mikro-orm/core'
import { defineEntity } from '@mikro-orm/sql'
import t from 'tap'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'
import { Line, makeFolder, release } from './support.ts'

/** A table with what is hard to carry over, one that points to itself, and a join table. */
function entitiesFor({ dialect }: TestBackend) {
  const Thing = defineEntity({
    name: 'Thing',
    properties: {
      id: p.integer().primary(),
      n: p.integer().default(21),
      big: p.bigint(),
      exact: p.decimal().precision(30).scale(10),
      real: p.double(),
      yes: p.boolean(),
      at: p.datetime(),
      day: p.date().nullable(),
      bytes: p.blob(),
      json: p.json().nullable(),
      text: p.text().nullable(),
      double: p.integer().generated('(n * 2) stored'),
      ...(dialect === 'postgresql' ? { tags: p.array() } : {}),
    },
  })
  const Node = defineEntity({
    name: 'Node',
    properties: {
      id: p.integer().primary(),
      parent: () => p.manyToOne(Node as never).nullable(),
      things: () => p.manyToMany(Thing),
    },
  })
  return [Thing, Node]
}

const ROWS = 1_203

t.test('rows go into a dump and come back as they were', async t => {
  await onEveryBackend(t, async (t, backend) => {
    const folder = await makeFolder(t)
    const entities = entitiesFor(backend)
    const engines = { logger: { entities: [Line] } }
    const { migrations, app, sql, tables, events } = await release(t, backend, folder, entities, { engines })
    await migrations.createAll()
    const isPostgres = backend.dialect === 'postgresql'
    const [Thing, Node] = entities as [never, never]
    await app.sqlAssist.run(async db => {
      const writer = db.get('writer') as unknown as import('../../src/index.ts').SqlEm
      const thing = {
        big: 9_007_199_254_740_993n,
        exact: '12345678901234567890.0123456789',
        real: 0.1 + 0.2,
        yes: true,
        at: new Date('2026-02-03T04:05:06Z'),
        day: '2024-02-29',
        bytes: Buffer.from([0, 1, 254, 255]),
        json: { a: [1, 'x', null], 'ä"': { b: true } },
        text: `it's "quoted", \\ and\nbroken, with ${'ü'.repeat(3)} {"engine":"x"},"row":{`,
        ...(isPostgres ? { tags: ['a', 'b,"c'] } : {}),
      }
      await writer.insert(Thing, { id: 1, ...thing } as never)
      await writer.insert(Thing, { ...thing, id: 2, json: null, text: null, day: null, yes: false } as never)
      const last = { id: ROWS, things: [1, 2] }
      const nodes = Array.from({ length: ROWS - 1 }, (_, index) => ({ id: index + 1, parent: ROWS }))
      await writer.insert(Node, { id: ROWS } as never)
      await writer.insertMany(Node, nodes as never[])
      const link = isPostgres ? '"node_things"' : '`node_things`'
      for (const id of last.things)
        await writer.execute(`insert into ${link} (node_id, thing_id) values (${ROWS}, ${id})`)
      await writer.commit()
    })
    await sql("insert into line (text) values ('logged')", 'logger')
    const everything = async () => ({
      things: await sql('select * from thing order by id'),
      nodes: await sql('select * from node order by id'),
      links: await sql('select * from node_things order by thing_id'),
      lines: await sql('select * from line order by id', 'logger'),
    })
    const before = await everything()
    const pieces: string[] = []
    const lines = () => pieces.join('').split('\n').filter(Boolean)

    await t.test('the dump has every table, parents first, from one moment', async t => {
      const isAlone = backend.dialect === 'sqlite'
      const results = await migrations.dumpData({
        async write(text) {
          // Somebody else writes to a table whose turn is still to come. (With SQLite's one connection nobody can.)
          if (pieces.length === 0 && !isAlone) {
            await sql('insert into node_things (node_id, thing_id) values (1, 1)')
          }
          pieces.push(text)
        },
      })
      if (!isAlone) await sql('delete from node_things where node_id = 1')
      t.same(results, [
        {
          engine: 'writer',
          tables: [
            { table: 'node', rows: ROWS },
            { table: 'thing', rows: 2 },
            { table: 'node_things', rows: 2 },
          ],
        },
        { engine: 'logger', tables: [{ table: 'line', rows: 1 }] },
      ])
      t.ok(pieces.length > 4, 'it comes in pieces')
      const shapes = new Set(lines().map(line => Object.keys(JSON.parse(line)).join()))
      t.same([...shapes], ['engine,table,row'])
    })

    await t.test('a dump with something wrong in it loads nothing, and the line is named', async t => {
      await migrations.dropAll()
      await migrations.createAll()
      const all = lines()
      for (const [bad, message] of [
        ['{"engine":"writer","table":"thing"}', /: it is no line of a dump/],
        ['rubbish', /: it is no line of a dump/],
        [
          '{"engine":"other","table":"node","row":{}}',
          /there is no engine 'other'; there are: writer, logger/,
        ],
        ['{"engine":"writer","table":"pg_user","row":{"id":1}}', /: engine 'writer' has no table 'pg_user'/],
        [
          '{"engine":"writer","table":"node","row":{"id":1,"x\\"; drop table node; --":1}}',
          /it has no column 'x"; drop/,
        ],
        [all[5] as string, /unique|duplicate/i],
      ] as const) {
        const broken = [...all.slice(0, 1000), bad, ...all.slice(1000)]
        await t.rejects(migrations.loadData({ lines: () => broken, name: 'dump.jsonl' }), {
          code: 'SQLA_ERR_MIGRATION_DATA',
          message,
        })
      }
      await t.rejects(migrations.loadData({ lines: () => ['rubbish'], name: 'dump.jsonl' }), {
        message: /^dump\.jsonl, line 1 cannot be loaded/,
      })
      t.same(await sql('select id from node'), [])
    })

    await t.test('loaded into empty tables, everything is as it was', async t => {
      events.length = 0
      const results = await migrations.loadData({ lines })
      t.match(results, [
        { engine: 'writer', tables: [{ table: 'node', rows: ROWS }, { rows: 2 }, { rows: 2 }] },
        { engine: 'logger', tables: [{ table: 'line', rows: 1 }] },
      ])
      t.same(await everything(), before)
      t.match(
        await migrations.check().then(found => found.map(({ drift }) => drift)),
        [[], []],
        'keys are as they were',
      )
      await sql("insert into line (text) values ('next')", 'logger')
      t.same(
        (await sql('select max(id) as id from line', 'logger')).map(row => Number(row.id)),
        [2],
        'the next row gets the next number',
      )
      t.ok((await tables()).includes('node_things'))
    })

    await t.test('a row that points nowhere is refused', async t => {
      if (backend.dialect === 'mysql')
        return t.pass('MySQL and MariaDB do not look when keys are not checked')
      const stray = '{"engine":"writer","table":"node","row":{"id":5000,"parent_id":4999}}'
      await t.rejects(migrations.loadData({ lines: () => [stray] }), { code: 'SQLA_ERR_MIGRATION_DATA' })
      t.same(await sql('select id from node where id = 5000'), [])
    })
  })
})

t.test('seeders run on the engines that have them', async t => {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const folder = await makeFolder(t)
      const before = cwd()
      chdir(folder)
      t.teardown(() => chdir(before))
      const seeder = (name: string, body: string) =>
        `import { Seeder } from '@mikro-orm/seeder'\nexport class ${name} extends Seeder { async run(em) { ${body} } }\n`
      await mkdir(join(folder, 'seeders', 'logger'), { recursive: true })
      const write = (name: string, text: string) => writeFile(join(folder, 'seeders', 'logger', name), text)
      await write('base.js', seeder('DatabaseSeeder', "em.create('Line', { text: 'seeded' })"))
      await write('bad.js', seeder('BadSeeder', "throw new Error('out of seed')"))
      const engines = { logger: { entities: [Line] } }
      const { migrations, sql } = await release(t, backend, folder, [Line], { engines })
      await migrations.createAll({ engine: 'logger' })
      t.same(await migrations.seed(), [
        { engine: 'writer', seeders: [] },
        { engine: 'logger', seeders: ['DatabaseSeeder'] },
      ])
      t.match(await sql('select text from line'), [{ text: 'seeded' }])
      await t.rejects(migrations.seed({ seeders: ['NoSeeder'] }), {
        code: 'SQLA_ERR_MIGRATION_SEEDER',
        message: /NoSeeder: no file of .*there is BadSeeder, DatabaseSeeder/,
      })
      await t.rejects(migrations.seed({ seeders: ['BadSeeder'] }), {
        message: "Seeder BadSeeder: on engine 'logger': out of seed",
      })
    },
    ['SQLite'],
  )
})
