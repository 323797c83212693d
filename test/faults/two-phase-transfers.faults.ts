import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { childEnvironment } from '../support/child-environment.ts'
import { random } from '../support/random.ts'
import { decisionsIn, janitorOf, preparedIn } from '../transactions/left-behind.ts'
import { twoDatabases } from '../transactions/two-databases.ts'

// Transfers between two databases, in processes that are killed at random points of their commits. In every other wave a janitor
// that leaves nobody any time runs beside them, so that live processes and it decide against each other.

const AT_ONCE = 20
const TRANSFERS = Number(process.env.TRANSFERS ?? 500)
const WAVES = Math.ceil(TRANSFERS / AT_ONCE)

t.setTimeout(300_000)

interface Worker {
  readonly child: ChildProcess
  readonly name: string
  readonly ready: Promise<void>
  readonly said: string[]
  /** Resolves with the next line of these words. */
  hears(word: string): Promise<void>
}

t.test(`${TRANSFERS} transfers are made in both databases or in none`, async t => {
  const two = await twoDatabases(t, {}, { twoPhase: true })
  for (const database of [two.a, two.b]) {
    await database.sql('create table transfer (id integer primary key)')
    await database.sql('insert into account select id, 1000 from generate_series(1000, $1) id', [
      1000 + WAVES * AT_ONCE,
    ])
  }
  const sum = async (): Promise<number> => {
    const sums = await Promise.all(
      [two.a, two.b].map(db => db.sql<{ sum: string }>('select sum(balance)::text from account')),
    )
    return sums.reduce((total, [row]) => total + Number(row?.sum), 0)
  }
  const before = await sum()
  const idsIn = async (database: typeof two.a): Promise<Set<number>> =>
    new Set((await database.sql<{ id: number }>('select id from transfer')).map(({ id }) => id))

  function startWorker(name: string): Worker {
    const child = spawn(process.execPath, [fileURLToPath(new URL('transfer-worker.ts', import.meta.url))], {
      env: {
        ...childEnvironment,
        URL_OF_A: two.a.writerUrl,
        URL_OF_B: two.b.writerUrl,
        NAME: name,
        AT_ONCE: String(AT_ONCE),
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    const said: string[] = []
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
    const waiting: { word: string; resolve: () => void }[] = []
    lines.on('line', line => {
      said.push(line)
      for (const { word, resolve } of waiting) if (line === word) resolve()
    })
    const hears = (word: string) => new Promise<void>(resolve => waiting.push({ word, resolve }))
    return { child, name, said, hears, ready: hears('ready') }
  }

  const connectionsOf = async ({ name }: Worker): Promise<number> =>
    (await two.a.sql('select 1 from pg_stat_activity where application_name = $1', [name])).length

  /** What a killed process has sent is still carried out; then it is gone. */
  async function isGone(worker: Worker): Promise<void> {
    for (let tries = 0; tries < 1_000; tries++) {
      if ((await connectionsOf(worker)) === 0) return
      await sleep(10)
    }
    t.fail(`connections of ${worker.name} are left`)
  }

  const { janitor } = janitorOf(t, two)
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
  t.comment(`SEED=${seed}`)
  const draw = random(seed)
  const acknowledged = new Set<number>()
  const failed = new Set<number>()
  let kills = 0
  let leftPrepared = 0
  let leftDecided = 0
  let duration = 0
  let next = startWorker('transfers-0')
  for (let wave = 0; wave < WAVES; wave++) {
    const worker = next
    next = startWorker(`transfers-${wave + 1}`)
    await worker.ready
    if (wave === 0) t.ok(await connectionsOf(worker), 'its connections are known')
    let isRunning = true
    const isRaced = wave % 2 === 1
    const racing = (async () => {
      while (isRunning && isRaced) await janitor.resolve()
    })()
    const committing = worker.hears('committing')
    const all = worker.hears('all')
    worker.child.stdin?.write(`${1000 + wave * AT_ONCE} ${AT_ONCE}\n`)
    await committing
    const begun = performance.now()
    if (wave === 0) {
      // How long it takes, for the others.
      await all
      duration = performance.now() - begun
    } else {
      await Promise.race([all, sleep(draw() * duration)])
      kills++
    }
    const closed = once(worker.child, 'close')
    worker.child.kill('SIGKILL')
    await closed
    isRunning = false
    await racing
    await isGone(worker)
    for (const line of worker.said) {
      const [word, id] = line.split(' ')
      if (word === 'done') acknowledged.add(Number(id))
      if (word === 'failed') failed.add(Number(id))
    }
    leftPrepared += (await preparedIn(two)).length
    leftDecided += (await decisionsIn(two)).filter(({ outcome }) => outcome === 'commit').length
    await janitor.resolve({ force: true })
    if ((await preparedIn(two)).length > 0) t.fail('something is left prepared')
    if ((await sum()) !== before) t.fail(`the sum has changed in wave ${wave}`)
    if (wave % 5 === 0)
      t.comment(`wave ${wave} of ${WAVES}: ${acknowledged.size} acknowledged, ${failed.size} failed`)
  }
  next.child.kill('SIGKILL')

  const [inA, inB] = [await idsIn(two.a), await idsIn(two.b)]
  t.comment(
    `${kills} kills, which left ${leftPrepared} prepared and ${leftDecided} decisions; ${inA.size} transfers made, ` +
      `${acknowledged.size} acknowledged, ${failed.size} failed; a wave takes ${Math.round(duration)} ms`,
  )
  t.equal(await sum(), before, 'the sum over both is what it was')
  t.same([...inA].sort(), [...inB].sort(), 'each transfer is in both or in none')
  t.same(
    [...acknowledged].filter(id => !inA.has(id) || !inB.has(id)),
    [],
    'none that was acknowledged is missing',
  )
  t.same(
    [...failed].filter(id => inA.has(id) || inB.has(id)),
    [],
    'none that failed is present',
  )
  t.same(await preparedIn(two), [], 'nothing is left prepared')
  t.same(
    (await decisionsIn(two)).filter(({ outcome }) => outcome === 'commit'),
    [],
    'nor a decision to commit',
  )
  t.ok(acknowledged.size >= AT_ONCE, 'some were made')
  t.ok(leftPrepared > 0, 'and some were interrupted in the middle')
})
