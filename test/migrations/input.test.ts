import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Fastify from 'fastify'
import t from 'tap'
import { migrations } from '../../plugins/migrations/index.ts'
import sqlAssist from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { first, Line, makeFolder, release, second, writeRevision } from './support.ts'

await onEveryBackend(
  t,
  async (t, backend) => {
    t.test('an application without the plugin', async t => {
      const app = Fastify()
      await t.rejects(migrations(app).upgrade(), { code: 'SQLA_ERR_MIGRATION_APP' })
    })

    t.test('unknown and read-only engines', async t => {
      const app = Fastify()
      t.teardown(() => app.close())
      await app.register(sqlAssist, {
        engines: {
          writer: { orm: backend.options({ entities: first() }) },
          reader: { orm: backend.options({ entities: first() }), readOnly: true },
        },
      })
      const events: unknown[] = []
      const all = migrations(app, { directory: await makeFolder(t), onEvent: event => events.push(event) })
      await t.rejects(all.upgrade({ engine: 'nope' }), { code: 'SQLA_ERR_UNKNOWN_ENGINE' })
      await t.rejects(all.upgrade({ engine: ['writer', 'reader'] }), {
        code: 'SQLA_ERR_MIGRATION_ENGINE',
        message: /'reader'.*readOnly/,
      })
      t.same(events, [])
      t.match(await all.history(), [{ engine: 'writer' }])
      t.same(events, [{ type: 'skipped', engine: 'reader' }])
    })

    t.test('options', async t => {
      const app = Fastify()
      for (const options of [{ directory: '' }, { lockTimeout: 0 }, { onEvent: 1 }, { dir: 'x' }]) {
        t.throws(() => migrations(app, options as never), { code: 'SQLA_ERR_INVALID_OPTION' })
      }
    })

    t.test('a schema to run in, which nothing here would look at', async t => {
      const folder = await makeFolder(t)
      const { migrations } = await release(t, backend, folder, [Line], {
        orm: { migrations: { schema: 'elsewhere' } },
      })
      await t.rejects(migrations.history(), {
        code: 'SQLA_ERR_MIGRATION_ENGINE',
        message: /migrations\.schema is not supported; say the search_path/,
      })
    })

    t.test('two engines with one folder, or one bookkeeping', async t => {
      const folder = await makeFolder(t)
      for (const [settings, what] of [
        [{ path: folder }, /'writer' has the same folder.*migrations\.path/],
        [{ tableName: 'done' }, /'writer' has the same migrations\.tableName/],
      ] as const) {
        const both = { migrations: settings }
        const { migrations } = await release(t, backend, folder, [Line], {
          orm: both,
          engines: { logger: { ...both, entities: [Line] } },
        })
        await t.rejects(migrations.history(), { code: 'SQLA_ERR_MIGRATION_FOLDER', message: what })
      }
    })

    t.test('the configuration of an engine says where its revisions are, and what they are', async t => {
      const folder = await makeFolder(t)
      const own = {
        path: join(folder, 'own'),
        tableName: 'done',
        snapshotName: 'schema',
        emit: 'js' as const,
      }
      const { migrations, tables } = await release(t, backend, folder, [Line], { orm: { migrations: own } })
      const [written] = await migrations.revision({ message: 'x' })
      t.match(written?.file, /\/own\/\d{14}_x\.js$/)
      await migrations.upgrade()
      t.same(await tables(), ['done', 'line'])
      t.match(await migrations.check(), [{ ok: true }])
      await migrations.dropAll()
      t.same(await tables(), [])
    })

    t.test('without a snapshot the database tells', async t => {
      const folder = await makeFolder(t)
      const orm = { migrations: { snapshot: false } }
      const one = await release(t, backend, folder, first(), { orm })
      await one.migrations.revision({ message: 'one' })
      await t.rejects(one.migrations.revision({ message: 'two' }), { message: /1 are pending/ })
      await one.migrations.upgrade()
      t.match(await one.migrations.revision({ message: 'two' }), [{ file: undefined }])
      const two = await release(t, backend, folder, second(), { orm })
      t.match(await two.migrations.check(), [{ ok: false, changes: Array }])
      await one.migrations.dropAll()
    })

    t.test('files that are no revisions', async t => {
      const folder = await makeFolder(t)
      const { migrations } = await release(t, backend, folder, [Line])
      const write = async (name: string, text: string) => {
        await rm(join(folder, 'writer'), { recursive: true, force: true })
        await mkdir(join(folder, 'writer'))
        await writeFile(join(folder, 'writer', name), text)
      }
      await write('20250101000000_none.ts', 'export const up = 1')
      await t.rejects(migrations.upgrade(), {
        code: 'SQLA_ERR_MIGRATION_FILE',
        message: /no class with up\(\)/,
      })
      await write('20250101000000_syntax.ts', 'export class {')
      await t.rejects(migrations.upgrade(), {
        code: 'SQLA_ERR_MIGRATION_FILE',
        message: /'20250101000000_syntax'/,
      })
      await writeFile(join(folder, 'writer', '20250101000000_syntax.js'), '')
      await t.rejects(migrations.upgrade(), { code: 'SQLA_ERR_MIGRATION_FOLDER', message: /same revision/ })
      await write('.snapshot.json', '{')
      await t.rejects(migrations.check(), {
        code: 'SQLA_ERR_MIGRATION_FOLDER',
        message: /snapshot.*cannot be read/,
      })
      await write('20250101000000_lost.ts', '')
      await t.rejects(migrations.revision({ message: 'x' }), { message: /the snapshot .*is missing/ })
      await write('notes.d.ts', '')
      t.match(await migrations.history(), [{ entries: [] }])
    })

    t.test('revisions that cannot be reverted', async t => {
      const folder = await makeFolder(t)
      await writeRevision(folder, '20250101000000_one', "this.addSql('select 1')")
      const { migrations } = await release(t, backend, folder, [Line])
      await migrations.upgrade()
      await t.rejects(migrations.downgrade(), { code: 'SQLA_ERR_MIGRATION_FILE', message: /has no down\(\)/ })
      await rm(join(folder, 'writer', '20250101000000_one.ts'))
      await t.rejects(migrations.downgrade(), { message: /applied, but there is no file/ })
      t.match(await migrations.check(), [{ ok: false, missing: ['20250101000000_one'] }])
      t.match(await migrations.history(), [{ entries: [{ state: 'missing', at: Date }] }])
      await migrations.stamp({ to: 'base' })
      t.match(await migrations.history(), [{ entries: [] }])
    })

    t.test('a target that one engine does not know stops all before anything has run', async t => {
      const folder = await makeFolder(t)
      await writeRevision(folder, '20250101000000_one', "this.addSql('create table one (id int)')")
      const { migrations, tables } = await release(t, backend, folder, [Line], {
        engines: { logger: { entities: first() } },
      })
      await t.rejects(migrations.upgrade({ to: 'one' }), {
        message: "'one' is no target for engine 'logger': there is no revision yet",
      })
      t.notOk((await tables()).includes('one'))
    })
  },
  ['SQLite'],
)
