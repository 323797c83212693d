import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { database, type Ended, start } from '../migrations/command.ts'
import { makeFolder, writeRevision } from '../migrations/support.ts'
import { childEnvironment } from '../support/child-environment.ts'
import { testDatabase } from '../support/cluster.ts'

t.jobs = 2

const TABLES = "select tablename as name from pg_tables where schemaname = 'public' order by 1"
const BOOKKEEPING = ['mikro_orm_migrations_logger', 'mikro_orm_migrations_writer']

/** Prints what was not expected, when it was not. */
function ended(t: Test, { code, out, err }: Ended, expected: number): string {
  t.equal(code, expected) || t.comment(out + err)
  return out + err
}

t.test('the notes example, from an empty database to the newest revision and back', async t => {
  const db = await testDatabase(t)
  const folder = await makeFolder(t)
  const cwd = fileURLToPath(new URL('../../examples/notes', import.meta.url))
  const env = { WRITER_URL: db.writerUrl, READER_URL: db.readerUrl, LOGGER_URL: db.loggerUrl }
  const run = async (code: number, ...args: string[]) =>
    ended(t, await database(t, cwd, [...args, '--app', 'database-app.ts'], env), code)
  const tables = async () => (await db.sql<{ name: string }>(TABLES)).map(({ name }) => name)

  t.match(
    await run(1, 'check'),
    /reader {2}is read-only: skipped\nwriter {2}not applied .*:\n {2}\d{14}_first_tables/,
  )
  t.same(await tables(), [], 'createAll of the application did nothing')
  t.match(
    await run(0, 'upgrade'),
    /writer {2}up {2}\d+_first_tables {2}\d+ ms\n[\s\S]*logger {2}1 revision applied/,
  )
  t.same(await tables(), ['audit_line', 'author', ...BOOKKEEPING, 'note'])
  t.match(await run(0, 'check'), /writer {2}entities, revisions and database agree\nlogger {2}entities/)

  await db.sql(
    "insert into author (name) values ('Ada'); insert into note (title, author_id) values ('x', 1)",
  )
  const dump = join(folder, 'dump.jsonl')
  t.match(await run(0, 'dump-data', '--out', dump), /writer {2}author {2}1 rows\nwriter {2}note {2}1 rows/)
  t.match(await run(1, 'dump-data', '--out', dump), /there is such a file already \(SQLA_ERR_CLI_FILE\)/)
  t.match(await run(0, 'downgrade', 'base'), /writer {2}down {2}\d+_first_tables/)
  t.same(await tables(), BOOKKEEPING)
  await run(0, 'upgrade', '--engine', 'writer')
  t.match(await run(0, 'seed', '--data', dump, '--engine', 'writer'), /writer {2}note {2}1 rows/)
  t.same(await db.sql('select a.name, n.title from author a join note n on a.id = n.author_id'), [
    { name: 'Ada', title: 'x' },
  ])
  t.match(await run(1, 'drop-all'), /nobody to ask here: say --yes \(SQLA_ERR_CLI_CONFIRM\)/)
  t.same(await tables(), ['author', ...BOOKKEEPING, 'note'])
  t.match(await run(0, 'drop-all', '-y'), /writer {2}tables dropped/)
  t.same(await tables(), [])
})

/** An application of its own folder, on the database of the environment; it leaves a timer open. */
const APP = `
import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from 'SQLASSIST'
const Note = defineEntity({ name: 'Note', properties: { id: p.integer().primary() } })
export const nothing = 1
export const bare = () => Fastify()
export const crash = () => { throw new TypeError('cannot at //user:secret@host') }
export default async () => {
  const app = Fastify()
  const orm = defineConfig({ clientUrl: process.env.URL, entities: [Note], pool: { min: 0, max: 1 } })
  app.addHook('onReady', async () => console.log('READY'))
  app.addHook('onClose', async () => console.log('CLOSED'))
  await app.register(sqlAssist, { engines: { writer: { orm, createAll: true }, reader: { orm: { ...orm }, readOnly: true } } })
  setInterval(() => {}, 1_000)
  return app
}
`

async function ownApp(t: Test): Promise<string> {
  const folder = await makeFolder(t)
  const entry = new URL('../../dist/src/index.js', import.meta.url).href
  await writeFile(join(folder, 'app.ts'), APP.replace('SQLASSIST', entry))
  return folder
}

t.test('bad input of each kind ends with 1 and says what would be right', async t => {
  const db = await testDatabase(t)
  const folder = await ownApp(t)
  const missing = `data:text/javascript,${encodeURIComponent(`
    import { registerHooks } from 'node:module'
    registerHooks({ resolve(name, context, next) {
      if (name !== '@mikro-orm/migrations') return next(name, context)
      throw Object.assign(new Error("Cannot find package '" + name + "'"), { code: 'ERR_MODULE_NOT_FOUND' })
    } })`)}`
  const wrong = new URL(db.url)
  wrong.password = 'verysecret'
  wrong.username = 'app_writer'
  const cases: [args: string[], message: RegExp, url?: string, node?: string[]][] = [
    [['history'], /required option '--app <file>' not specified/],
    [['history', '--app', 'none.ts'], /--app none\.ts: there is no file .*none\.ts \(SQLA_ERR_CLI_APP\)/],
    [['history', '--app', 'app.ts:nothing'], /nothing is neither a Fastify application nor a function/],
    [['history', '--app', 'app.ts:other'], /does not export other; it exports .*bare/],
    [['history', '--app', 'app.ts:bare'], /There is no app\.sqlAssist: .*\(SQLA_ERR_MIGRATION_APP\)/],
    [['history', '--app', 'app.ts:crash'], /did not start: cannot at \/\/\*\*\*@host \(SQLA_ERR_CLI_START\)/],
    [['history', '--app', 'app.ts', '--engine', 'nope'], /no engine named 'nope'; there are: writer, reader/],
    [['history', '--app', 'app.ts'], /Engine '\w+' could not be started: .*password/, wrong.href],
    [
      ['upgrade', '--app', 'app.ts'],
      /@mikro-orm\/migrations is not installed\. Install it: npm i/,
      db.url,
      ['--import', missing],
    ],
  ]
  t.jobs = 2
  for (const [args, message, url = db.url, node = []] of cases) {
    t.test(message.source, async t => {
      const text = ended(t, await database(t, folder, args, { URL: url }, node), 1)
      t.match(text, message)
      t.notMatch(text, /secret|READY/)
      t.notMatch(text, /\n {4}at /, 'no stack of an error that has a code')
    })
  }
})

t.test('two processes at once: one works, the other waits and finds nothing left to do', async t => {
  const db = await testDatabase(t)
  const folder = await ownApp(t)
  // Takes 2.5 s, and longer if the other process is late: until that has asked for the lock.
  const slow = `do \\$\\$ begin for step in 1..300 loop
    perform pg_sleep(0.1), pg_stat_clear_snapshot();
    exit when step > 25 and exists (select from pg_stat_activity where datname = current_database()
      and pid <> pg_backend_pid() and (query = 'rollback' or query like '%pg_try_advisory_xact_lock%'));
  end loop; end \\$\\$`
  const revision = `this.addSql('create table slow (id int)'); this.addSql(\`${slow}\`)`
  await writeRevision(join(folder, 'migrations'), '20250101000000_slow', revision)
  const args = ['database', 'upgrade', '--app', 'app.ts']
  const started = [start(t, folder, args, { URL: db.url }), start(t, folder, args, { URL: db.url })]
  const outs = (await Promise.all(started.map(({ end }) => end))).map(end => ended(t, end, 0)).sort()
  const worked = outs.find(out => out.includes('1 revision applied'))
  const waited = outs.find(out => out !== worked)
  t.match(worked, /writer {2}up {2}20250101000000_slow {2}still running after 2 s\n/)
  t.match(worked, /writer {2}up {2}20250101000000_slow {2}(2[5-9]\d\d|[3-9]\d{3}|\d{5}) ms\n/)
  t.match(waited, /writer {2}waiting for another process that migrates this engine\n/)
  t.match(waited, /writer {2}nothing to do\n/)
  t.match(worked, /CLOSED/, 'the application is closed')
  t.notMatch(outs.join(), /READY/, 'and was never made to listen')
  t.match(await db.sql('select name from mikro_orm_migrations_writer'), [{ name: '20250101000000_slow' }])
})

t.test('a process that is killed in the middle leaves nothing half done, and the lock free', async t => {
  const db = await testDatabase(t)
  const folder = await ownApp(t)
  const revision = `this.addSql('create table half (id int)')
    if (process.env.SLEEP) this.addSql('select pg_sleep(60)')`
  await writeRevision(
    join(folder, 'migrations'),
    '20250101000000_half',
    revision,
    "this.addSql('drop table half')",
  )
  const killed = start(t, folder, ['database', 'upgrade', '--app', 'app.ts'], { URL: db.url, SLEEP: '1' })
  const sleeping = async () =>
    (
      await db.sql(
        "select from pg_stat_activity where datname = current_database() and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()",
      )
    ).length
  while ((await sleeping()) === 0) await sleep(20)
  killed.kill()
  t.match(await killed.end, { code: null, signal: 'SIGKILL' })
  const before = performance.now()
  ended(t, await database(t, folder, ['upgrade', '--app', 'app.ts'], { URL: db.url }), 0)
  const waited = performance.now() - before
  t.ok(waited < 15_000, `the lock was free after ${Math.round(waited)} ms, not after the statement's 60 s`)
  t.equal(await sleeping(), 0)
  t.same(await db.sql('select name from mikro_orm_migrations_writer'), [{ name: '20250101000000_half' }])
  t.same(await db.sql('select * from half'), [])
})

t.test('a revision that fails ends with 1 and says where', async t => {
  const db = await testDatabase(t)
  const folder = await ownApp(t)
  await writeRevision(
    join(folder, 'migrations'),
    '20250101000000_bad',
    "this.addSql('create table a (id int)'); this.addSql('select nothing')",
  )
  const text = ended(t, await database(t, folder, ['upgrade', '--app', 'app.ts'], { URL: db.url }), 1)
  t.match(
    text,
    /revision '20250101000000_bad' failed at statement 2 of 2: column "nothing" does not exist\. It was rolled back\./,
  )
  t.match(text, /CLOSED/)
  t.same(await db.sql(TABLES), [])
})

t.test('the walk through of the documentation does what it says', async t => {
  const page = await readFile(new URL('../../docs/migrations.md', import.meta.url), 'utf8')
  const blocks = [...page.matchAll(/<!-- walk-through(?:: (\S+))? -->\n```\w+\n(.*?)```/gs)]
  const db = await testDatabase(t)
  const folder = await makeFolder(t)
  const outputs: string[] = []
  for (const [, file, text = ''] of blocks) {
    if (file !== undefined) {
      const entry = new URL('../../dist/src/index.js', import.meta.url).href
      await writeFile(join(folder, file), text.replace("'fastify-sqlassist'", `'${entry}'`))
    } else outputs.push(await shell(t, folder, text, db.url))
  }
  t.equal(outputs.length, 3)
  const [one = '', two = '', three = ''] = outputs
  t.match(
    one,
    /writer {2}migrations\/writer\/\d{14}_users\.ts {2}1 statement\n[\s\S]*create table "user"[\s\S]*1 revision applied/,
  )
  t.match(
    two,
    /add "email"[\s\S]*there is something to do\n[\s\S]*_email_of_users\.ts[\s\S]*_users {2}applied[\s\S]*_email_of_users {2}applied/,
  )
  t.match(three, /down {2}\d+_email_of_users[\s\S]*down {2}\d+_users/)
  t.same(await db.sql(TABLES), [{ name: 'mikro_orm_migrations_writer' }])
})

/** Runs a block of a shell as a reader would who has installed the package. */
async function shell(t: Test, cwd: string, text: string, url: string): Promise<string> {
  const program = fileURLToPath(new URL('../../dist/bin/sqlassist.js', import.meta.url))
  const script = `set -e\n${text.replaceAll('npx sqlassist', `"${process.execPath}" "${program}"`)}`
  return new Promise(resolve => {
    execFile(
      'sh',
      ['-c', script],
      { cwd, env: { ...childEnvironment, DATABASE_URL: url } },
      (error, out, err) => {
        t.equal(error, null) || t.comment(out + err)
        resolve(out + err)
      },
    )
  })
}
