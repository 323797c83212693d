import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MikroORM } from '@mikro-orm/sqlite'
import t from 'tap'
import { childEnvironment } from '../support/child-environment.ts'

const program = fileURLToPath(new URL('../../bin/sqlassist.ts', import.meta.url))
const app = fileURLToPath(new URL('../flags/command-app.ts', import.meta.url))
const directory = await mkdtemp(join(tmpdir(), 'sqlassist-flags-'))
t.teardown(() => rm(directory, { recursive: true }))

async function openDatabase(dbName: string): Promise<MikroORM> {
  const orm = await MikroORM.init({
    dbName,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    allowGlobalContext: true,
  })
  t.teardown(() => orm.close(true))
  return orm
}

async function sqlassist(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program, 'flags', ...args, '--app', app], {
    env: { ...childEnvironment, FLAGS_DB: join(directory, 'flags.db'), ...env },
  })
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => (out += chunk))
  child.stderr.on('data', chunk => (err += chunk))
  const [code] = await once(child, 'close')
  return { code, out, err }
}

t.test('flags from the command line', async t => {
  t.strictSame(await sqlassist(['list']), { code: 0, out: '', err: '' })
  const rollout = { actor_key: 'user_id', percentage: 25 }
  const json = JSON.stringify({ enabled: true, enabled_for_percentage_of_actors: rollout, owner: 'ann' })
  t.strictSame(await sqlassist(['set', 'new checkout', json]), {
    code: 0,
    out: 'new checkout  on for 25 % by user_id\n',
    err: '',
  })
  await sqlassist(['set', 'other', '{}'])
  t.equal((await sqlassist(['disable', 'new checkout'])).out, 'new checkout  off\n')
  t.equal((await sqlassist(['enable', 'other'])).out, 'other  on\n')
  t.equal((await sqlassist(['list'])).out, 'new checkout  off\nother         on\n')
})

t.test('an export, into another database', async t => {
  const file = join(directory, 'flags.json')
  t.equal((await sqlassist(['export', '--out', file])).code, 0)
  const exported = JSON.parse(await readFile(file, 'utf8'))
  t.match(exported, [
    { name: 'new checkout', enabled: false, owner: 'ann', hash: 'salted' },
    { name: 'other', enabled: true },
  ])
  const other = { FLAGS_DB: join(directory, 'other.db') }
  t.equal((await sqlassist(['import', file], other)).code, 0)
  t.strictSame(JSON.parse((await sqlassist(['export'], other)).out), exported)
})

t.test('who has done what, and back', async t => {
  const env = { FLAGS_DB: join(directory, 'history.db') }
  const run = async (...args: string[]) => {
    const { code, out, err } = await sqlassist(args, env)
    t.match({ code, err }, { code: 0, err: '' }, args.join(' '))
    // The times are those of this minute, more or less.
    for (const [time] of out.matchAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g)) {
      t.ok(Math.abs(Date.now() - Date.parse(time)) < 300_000, time)
    }
    return out.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, 'TIME')
  }
  const segments = JSON.stringify({ enabled: true, segments: ['staff', 'a\n9  TIME  changed by eve: on'] })
  await run('set', 'new checkout', segments, '--author', 'ann')
  await run('disable', 'new checkout', '--author', 'bea\n9  TIME  changed by eve: on')
  await run('enable', 'new checkout')
  t.equal(await run('rollback', 'new checkout', '2', '--author', 'cem'), 'new checkout  off\n')
  t.equal(
    await run('history', 'new checkout'),
    [
      '4  TIME  changed by cem: off',
      '3  TIME  changed: on for segments staff, a?9  TIME  changed by eve: on',
      '2  TIME  changed by bea?9  TIME  changed by eve: on: off',
      '1  TIME  created by ann: on for segments staff, a?9  TIME  changed by eve: on',
      '',
    ].join('\n'),
    'a line for each, whatever the names are',
  )
  t.equal(await run('history', 'new checkout', '--limit', '1'), '4  TIME  changed by cem: off\n')

  const file = join(directory, 'one.json')
  await writeFile(file, '[{"name": "imported"}]')
  await run('import', file, '--author', 'dan')
  const orm = await openDatabase(env.FLAGS_DB)
  await orm.em.execute("delete from flypper_flags where name = 'imported'")
  t.equal(await run('history', 'imported'), '5  TIME  created by dan: off\n', 'of a flag that is gone, too')

  const refused: [string[], RegExp][] = [
    [['history', 'nope'], /'nope': there is no such flag/],
    [['history', 'imported', '--limit', '0'], /--limit: must be a whole number/],
    [['rollback', 'nope', '1'], /SQLA_ERR_FLAG_NOT_FOUND/],
    [['rollback', 'new checkout', '99'], /has no version 99.*SQLA_ERR_FLAG_VERSION/],
    [['rollback', 'new checkout', 'x'], /the version: must be a whole number/],
  ]
  const answers = await Promise.all(refused.map(([args]) => sqlassist(args, env)))
  for (const [index, answer] of answers.entries()) {
    const [args, message] = refused[index] as (typeof refused)[number]
    t.match(answer, { code: 1, out: '', err: message }, args.join(' '))
  }
})

t.test('which flags nobody has asked for', async t => {
  const env = { FLAGS_DB: join(directory, 'unused.db') }
  const file = join(directory, 'three.json')
  await writeFile(file, JSON.stringify(['asked', 'once', 'never'].map(name => ({ name }))))
  await sqlassist(['import', file], env)
  const begin = await sqlassist(['unused'], env)
  t.match(begin, { code: 0, out: '', err: /nothing is written down yet\. Of 30 days nothing can be said/ })

  const orm = await openDatabase(env.FLAGS_DB)
  const old = Math.floor(Date.now() / 1000) - 86_400 * 40
  await orm.em.execute("update flypper_flags set data = json_set(data, '$.updated_at', ?)", [old])
  const rows: [string, number][] = [
    ['', old],
    ['asked', old + 86_400 * 35],
    ['once', old],
  ]
  for (const row of rows)
    await orm.em.execute('insert into flypper_flags_usage (name, asked_at) values (?, ?)', row)
  const time = `${new Date(old * 1000).toISOString().slice(0, 19)}Z`
  const lines = [`once   last asked for ${time}`, 'never  never asked for']
  const [month, days, long, wrong] = await Promise.all(
    [[], ['--days', '3'], ['--days', '41'], ['--days', '1.5']].map(args =>
      sqlassist(['unused', ...args], env),
    ),
  )
  t.strictSame(month, { code: 0, out: `${lines.join('\n')}\n`, err: '' })
  t.match(days, { code: 0, out: /^asked {2}last.*\nonce .*\nnever /, err: '' })
  t.match(long, { code: 0, out: '', err: `since ${time}. Of 41 days nothing can be said` })
  t.match(wrong, { code: 1, out: '', err: /--days: must be a whole number/ })
})

t.test('what cannot be is refused, with 1', async t => {
  await sqlassist(['set', 'gone', '{"deleted": true}'])
  const bad = join(directory, 'bad.json')
  await writeFile(bad, '{"name": "x"}')
  const attempts: [string[], RegExp, Record<string, string>?][] = [
    [['disable', 'gone'], /'gone': there is no such flag/],
    [['enable', 'nope'], /'nope': there is no such flag.*SQLA_ERR_CLI_FILE/],
    [['set', 'x', '{'], /the JSON: is no JSON/],
    [['set', 'x', '{"enabled": "yes"}'], /SQLA_ERR_FLAG_INVALID/],
    [['import', bad], /must be a list of flags/],
    [['import', join(directory, 'none.json')], /cannot be read/],
    [['list'], /no app\.flags.*SQLA_ERR_CLI_APP/, { WITHOUT_FLAGS: '1' }],
  ]
  const answers = await Promise.all(attempts.map(([args, , env]) => sqlassist(args, env)))
  for (const [index, { code, out, err }] of answers.entries()) {
    const [args, message] = attempts[index] as (typeof attempts)[number]
    t.equal(code, 1, args.join(' '))
    t.match(err, message)
    t.equal(out, '')
  }
})
