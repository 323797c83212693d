import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { childEnvironment } from '../support/child-environment.ts'
import { decisionsIn, leaveBehind, namesOf, preparedIn } from '../transactions/left-behind.ts'
import { twoDatabases } from '../transactions/two-databases.ts'

const program = fileURLToPath(new URL('../../bin/sqlassist.ts', import.meta.url))
const app = fileURLToPath(new URL('../transactions/transactions-command-app.ts', import.meta.url))
const two = await twoDatabases(t, {}, { twoPhase: true })
const nameOf = await namesOf(two)
await two.app.close()

async function transactions(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program, 'transactions', ...args, '--app', app], {
    env: { ...childEnvironment, URL_OF_A: two.a.writerUrl, URL_OF_B: two.b.writerUrl, ...env },
  })
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => (out += chunk))
  child.stderr.on('data', chunk => (err += chunk))
  const [code] = await once(child, 'close')
  return { code, out: out.replaceAll(/\d+ s old/g, 'N s old'), err }
}

t.test('what crashes have left, from the command line', async t => {
  t.strictSame(await transactions(['list']), { code: 0, out: '', err: '' })
  const [lost, decided] = [randomUUID(), randomUUID()]
  const foreign = await leaveBehind(t, two.a, `a\u001b ${two.a.name}`, { account: 50 })
  const ofLost = await leaveBehind(t, two.a, nameOf('a', lost), { account: 51 })
  const ofDecided = await leaveBehind(t, two.b, nameOf('b', decided), { account: 52 })
  await two.a.sql(
    'insert into sqlassist_decisions (id, application, outcome, engines) values ($1, $2, $3, $4)',
    [decided, 'app', 'commit', ['a', 'b']],
  )
  t.strictSame(
    await transactions(['list']),
    {
      code: 0,
      out: [
        `a  ${foreign.replace('\u001b', '?')}  somebody else's, N s old, of app_writer`,
        `a  ${ofLost}  undecided, N s old, of app_writer`,
        `b  ${ofDecided}  to be committed, N s old, of app_writer`,
        '',
      ].join('\n'),
      err: '',
    },
    'listing them changes nothing',
  )
  t.strictSame(await transactions(['resolve']), {
    code: 1,
    out: `${ofLost}  left alone: it may be about to be committed. --force rolls it back\n${ofDecided}  committed\n`,
    err: '',
  })
  t.match(await transactions(['resolve', randomUUID()]), {
    code: 1,
    err: /no transaction of this application/,
  })
  t.match(await transactions(['resolve', foreign]), { code: 1, err: /no transaction of this application/ })
  t.strictSame(await transactions(['resolve', ofLost, '--force']), {
    code: 0,
    out: `${ofLost}  rolled back\n`,
    err: '',
  })
  t.same(await preparedIn(two), [foreign])
  t.match(await decisionsIn(two), [{ id: lost, outcome: 'rollback' }])
})

t.test('an application without twoPhase has none', async t => {
  t.match(await transactions(['list'], { WITHOUT: '1' }), { code: 1, err: /with twoPhase/ })
})
