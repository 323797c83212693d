import t from 'tap'
import { onEveryBackend } from '../support/backends.ts'
import { filesOf, first, Line, makeFolder, release, second, textOf } from './support.ts'

t.test('an application with two engines in one database, over two releases', async t => {
  await onEveryBackend(t, async (t, backend) => {
    const folder = await makeFolder(t)
    const engines = { logger: { entities: [Line] } }
    const one = await release(t, backend, folder, first(), { engines })
    const books = ['author', 'book', 'line']
    const bookkeeping = ['mikro_orm_migrations_logger', 'mikro_orm_migrations_writer']

    await t.test('the first revision has all tables, and a second one has nothing to do', async t => {
      const written = await one.migrations.revision({ message: 'The first – tables!' })
      t.match(written, [
        { engine: 'writer', file: /writer\/\d{14}_the_first_tables\.ts$/ },
        { engine: 'logger' },
      ])
      t.notMatch(written[0]?.up, /line/)
      t.same(await one.migrations.revision({ message: 'again' }), [
        { engine: 'writer', file: undefined, up: [], down: [] },
        { engine: 'logger', file: undefined, up: [], down: [] },
      ])
      const [snapshot, file = ''] = await filesOf(folder)
      t.equal(snapshot, '.snapshot.json')
      const text = await textOf(folder, file)
      t.match(
        text,
        /^import \{ Migration \} from '@mikro-orm\/migrations'\n\n\/\*\* The first – tables! \*\/\n/,
      )
      t.match(text, /create table .author. \(.*\n {6,8}'?( {2})?.id. /)
      t.same(await one.tables(), [], 'nothing has run, and looking makes no table')
    })

    await t.test('check and history say what is pending, and change nothing', async t => {
      const [check] = await one.migrations.check({ engine: 'writer' })
      t.match(check, { ok: false, changes: [], pending: [/the_first_tables/], missing: [], drift: [] })
      t.match(await one.migrations.history({ engine: 'writer' }), [
        { current: undefined, entries: [{ state: 'pending', at: undefined }] },
      ])
      t.same(await one.tables(), [])
    })

    await t.test('what upgrade would run can be printed, and is what runs', async t => {
      const [printed] = await one.migrations.upgrade({ engine: 'logger', sql: true })
      t.match(
        printed?.sql?.join('\n'),
        /create table .mikro_orm_migrations_logger.[\s\S]*create table .line.[\s\S]*insert into/,
      )
      t.same(await one.tables(), [])
      for (const sql of printed?.sql ?? []) {
        if (!/^(--|begin|commit)/.test(sql)) await one.sql(sql, 'logger')
      }
      t.match(await one.migrations.check({ engine: 'logger' }), [{ ok: true, pending: [] }])
    })

    await t.test('upgrade applies it, once', async t => {
      const [writer, logger] = await one.migrations.upgrade()
      t.match(writer, { revisions: [/the_first_tables/], sql: undefined })
      t.same(logger, { engine: 'logger', revisions: [], sql: undefined })
      t.same(await one.tables(), [...books, ...bookkeeping].sort())
      t.match(
        one.events.map(event => event.type),
        ['started', 'finished', 'committed'],
      )
      t.same(
        (await one.migrations.upgrade()).flatMap(result => result.revisions),
        [],
      )
      t.match(await one.migrations.history({ engine: 'writer' }), [
        { current: /the_first_tables/, entries: [{ state: 'applied', at: Date }] },
      ])
      const [history] = await one.migrations.history({ engine: 'writer' })
      const age = Date.now() - Number(history?.entries[0]?.at)
      t.ok(age > -5_000 && age < 60_000, `applied ${age} ms ago`)
    })

    await t.test(
      'then nothing differs, although the other engine has tables in the same database',
      async t => {
        t.same(
          (await one.migrations.check()).map(({ ok, drift }) => ({ ok, drift })),
          [
            { ok: true, drift: [] },
            { ok: true, drift: [] },
          ],
        )
      },
    )

    await t.test('a table that was changed by hand is drift, and check says what differs', async t => {
      await one.sql('alter table book add column stray int')
      const [check] = await one.migrations.check({ engine: 'writer' })
      t.match(check, { ok: false, changes: [], pending: [], drift: [/stray/] })
      await one.sql('alter table book drop column stray')
      t.match(await one.migrations.check({ engine: 'writer' }), [{ ok: true }])
    })

    await one.sql("insert into author (id, name) values (1, 'Ada')")
    await one.sql("insert into book (id, title, price, author_id) values (1, 'Notes', 1.5, 1)")
    await one.close()
    const two = await release(t, backend, folder, second(), { engines })

    await t.test('entities that have changed are a change without a revision', async t => {
      const [check] = await two.migrations.check({ engine: 'writer' })
      t.equal(check?.ok, false)
      t.match(check?.changes.join('\n'), /shelf/)
    })

    await t.test('the next revision has the difference only, and rows survive it', async t => {
      const [written] = await two.migrations.revision({ message: 'shelves', engine: 'writer' })
      t.notMatch(written?.up.join('\n'), /create table .author.|line/)
      await two.migrations.upgrade()
      t.match(await two.migrations.check(), [{ ok: true }, { ok: true }])
      t.match(await two.sql('select name, born from author'), [{ name: 'Ada', born: null }])
      t.match(await two.sql('select title, author_id from book'), [{ title: 'Notes', author_id: 1 }])
      await two.sql('insert into shelf (id) values (1)')
      t.match(await two.sql('select label from shelf'), [{ label: 'so; so' }])
    })

    await t.test('an empty revision is for what no entity says', async t => {
      const [written] = await two.migrations.revision({ message: 'fill', engine: 'writer', empty: true })
      t.match(written, { file: /_fill\.ts$/, up: [], down: [] })
      await two.migrations.upgrade({ to: '+1' })
      t.match((await two.migrations.history({ engine: 'writer' }))[0]?.current, /_fill$/)
    })

    await t.test('downgrade goes back one, to a revision, and to nothing', async t => {
      t.match(await two.migrations.downgrade({ engine: 'writer' }), [{ revisions: [/_fill$/] }])
      t.match(await two.migrations.downgrade({ engine: 'writer', to: 'the_first_tables' }), [
        { revisions: [/_shelves$/] },
      ])
      t.same(await two.tables(), [...books, ...bookkeeping].sort())
      t.match(await two.sql('select title, author_id from book'), [{ title: 'Notes', author_id: 1 }])
      await two.migrations.downgrade({ to: 'base' })
      t.same(await two.tables(), bookkeeping)
    })

    await t.test('stamp writes down without running', async t => {
      const [stamped] = await two.migrations.stamp({ engine: 'writer', to: 'shelves' })
      t.match(stamped, { marked: [/the_first_tables$/, /shelves$/], unmarked: [] })
      t.same(await two.tables(), bookkeeping)
      t.match((await two.migrations.stamp({ engine: 'writer', to: 'base' }))[0]?.unmarked, [
        /first/,
        /shelves/,
      ])
    })

    await t.test(
      'create-all creates what is missing, and drop-all leaves the other engine alone',
      async t => {
        const [created] = await two.migrations.createAll({ engine: 'writer' })
        t.match(created?.statements.join('\n'), /create table .author./)
        t.same((await two.migrations.createAll({ engine: 'writer' }))[0]?.statements, [])
        await two.migrations.createAll({ engine: 'logger' })
        await two.sql("insert into author (id, name) values (1, 'Ada')")
        await two.sql("insert into book (id, title, price, author_id) values (1, 'Notes', 1.5, 1)")
        await two.sql('update author set best_id = 1')
        const [dry] = await two.migrations.dropAll({ engine: 'writer', sql: true })
        t.match(dry?.statements.join('\n'), /drop table .*author/)
        t.same(await two.tables(), [...books, 'shelf', ...bookkeeping].sort())
        await two.migrations.dropAll({ engine: 'writer' })
        t.same(await two.tables(), ['line', 'mikro_orm_migrations_logger'])
      },
    )
  })
})
