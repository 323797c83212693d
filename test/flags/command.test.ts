import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const program = fileURLToPath(new URL('../../bin/sqlassist.ts', import.meta.url))
const app = fileURLToPath(new URL('command-app.ts', import.meta.url))
const directory = await mkdtemp(join(tmpdir(), 'sqlassist-flags-'))
t.teardown(() => rm(directory, { recursive: true }))

async function sqlassist(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program, 'flags', ...args, '--app', app], {
    env: { PATH: process.env.PATH, FLAGS_DB: join(directory, 'flags.db'), ...env },
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

t.test('what cannot be is refused, with 1', async t => {
  const bad = join(directory, 'bad.json')
  await writeFile(bad, '{"name": "x"}')
  const attempts: [string[], RegExp, Record<string, string>?][] = [
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
