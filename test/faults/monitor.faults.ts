import { createHook } from 'node:async_hooks'
import { type AddressInfo, createServer } from 'node:net'
import pg from 'pg'
import t from 'tap'
import { Monitor } from '../../src/engines/monitor.ts'
import { Probe } from '../../src/engines/probe.ts'
import { eventually } from '../support/app.ts'
import { testCluster } from '../support/cluster.ts'

// One server is asked how it is while it works, stands still, is restarted and is gone.

const NAME = 'monitor-test'
const cluster = await testCluster(t)
const { primary } = cluster
const owner = new pg.Pool({ connectionString: primary.url, max: 1, idleTimeoutMillis: 0 })
owner.on('error', () => {})
t.teardown(() => owner.end())
await owner.query('create table thing (id serial primary key)')

/** Timers that are set right now, those that keep no process alive included. */
const timers = new Set<number>()
const hook = createHook({
  init: (id, type) => void (type === 'Timeout' && timers.add(id)),
  destroy: id => void timers.delete(id),
})
hook.enable()
t.teardown(() => hook.disable())

const sockets = (): number =>
  process.getActiveResourcesInfo().filter(type => type === 'TCPSocketWrap' || type === 'TCPConnectWrap')
    .length

interface Watched {
  readonly monitor: Monitor
  /** How often who has been called. */
  readonly counts: { connections: number; questions: number; answers: number; losses: number }
  /** When it was connected to: `performance.now()`. */
  readonly attempts: number[]
  /** Every client that there has been. */
  readonly clients: pg.Client[]
}

interface PgSocketOwner {
  readonly connection: { readonly stream: { readonly destroyed: boolean; destroy(): void } }
}

interface WatchOptions {
  readonly interval?: number
  readonly timeout?: number
  readonly url?: string
}

function watch(
  t: Pick<typeof import('tap').default, 'teardown'>,
  { interval = 50, timeout = 2_000, url = primary.url }: WatchOptions = {},
): Watched {
  const counts = { connections: 0, questions: 0, answers: 0, losses: 0 }
  const attempts: number[] = []
  const clients: pg.Client[] = []
  const probe = new Probe(() => {
    counts.connections++
    attempts.push(performance.now())
    const client = new pg.Client({
      connectionString: url,
      application_name: NAME,
      connectionTimeoutMillis: timeout,
    })
    clients.push(client)
    return {
      connect: async () => {
        await client.connect()
      },
      query: text => {
        counts.questions++
        return client.query(text)
      },
      end: () => client.end(),
      connection: (client as unknown as PgSocketOwner).connection,
      on: (event, listener) => client.on(event as 'end', listener),
    }
  }, timeout)
  const monitor = new Monitor(
    probe,
    interval,
    () => counts.answers++,
    () => counts.losses++,
  )
  t.teardown(() => monitor.stop())
  return { monitor, counts, attempts, clients }
}

/** Where the primary's log ends, once everything before is in it. */
async function write(): Promise<void> {
  await owner.query('insert into thing default values')
}

const connectionsOnServer = async (): Promise<number> =>
  (await owner.query('select count(*)::int from pg_stat_activity where application_name = $1', [NAME]))
    .rows[0].count

t.test('it asks over one connection, in its interval, and tells what it heard', async t => {
  const { monitor, counts } = watch(t)
  t.equal(monitor.reading, undefined)
  t.equal(monitor.failure, undefined)
  await monitor.check()
  const first = monitor.reading
  t.match(first, { standby: false, readOnly: false, position: { timeline: 1 } })
  const { rows } = await owner.query('select system_identifier::text as system from pg_control_system()')
  t.equal(first?.position.system, rows[0].system)
  await write()
  t.ok(await eventually(() => (monitor.reading?.position.lsn ?? 0n) > (first?.position.lsn ?? 0n)))
  t.ok(await eventually(() => counts.answers >= 5))
  t.equal(counts.connections, 1)
  t.equal(counts.losses, 0)
})

t.test('whoever asks while an answer is on its way gets that one', async t => {
  const { monitor, counts } = watch(t, { interval: 60_000 })
  await Promise.all(Array.from({ length: 100 }, () => monitor.check()))
  t.same(counts, { connections: 1, questions: 1, answers: 1, losses: 0 })
  await Promise.all(Array.from({ length: 100 }, () => monitor.check()))
  t.same(counts, { connections: 1, questions: 2, answers: 2, losses: 0 })
})

t.test('500 who wait for the same share the questions', async t => {
  const { monitor, counts } = watch(t, { interval: 60_000 })
  await monitor.check()
  const start = performance.now()
  const from = monitor.reading?.position.lsn ?? 0n
  const waiting = Array.from({ length: 500 }, () =>
    monitor.until(({ position }) => position.lsn > from, 20_000),
  )
  await eventually(() => counts.questions >= 10)
  t.equal(await Promise.race([Promise.any(waiting), 'still waiting']), 'still waiting')
  await write()
  t.same(new Set(await Promise.all(waiting)), new Set([true]))
  const most = (performance.now() - start) / 5 + 2
  t.ok(counts.questions <= most, `${counts.questions} questions, at most one every 5 ms: ${most}`)
  t.equal(counts.connections, 1)
  const before = counts.questions
  t.equal(
    await monitor.until(({ position }) => position.lsn > from, 20_000),
    true,
    'at once, by what is known',
  )
  t.equal(counts.questions, before)
})

t.test('who waits in vain waits no longer than agreed', async t => {
  const { monitor } = watch(t, { interval: 60_000 })
  await monitor.check()
  const times = [0, 1, 50, 200]
  await Promise.all(
    times.map(async ms => {
      const start = performance.now()
      t.equal(await monitor.until(() => false, ms), false)
      t.ok(performance.now() - start >= ms - 1, `${ms} ms`)
    }),
  )
})

t.test('a server that stands still', { timeout: 60_000 }, async t => {
  const patient = watch(t, { interval: 60_000, timeout: 30_000 })
  const { monitor, counts, clients } = watch(t, { interval: 50, timeout: 100 })
  await Promise.all([monitor.check(), patient.monitor.check()])
  const before = sockets()
  await primary.pause()
  let paused = true
  t.teardown(() => (paused ? primary.unpause() : undefined))
  await eventually(() => monitor.failure !== undefined)
  t.equal(monitor.reading, undefined, 'what it said before counts no more')
  t.match((monitor.failure as Error).message, /^(no answer within 100 ms|timeout expired)$/)

  const start = performance.now()
  t.equal(await patient.monitor.until(() => false, 50), false)
  t.ok(performance.now() - start < 15_000, 'who waits does not wait for the answer')

  const attempts = counts.connections
  await eventually(() => counts.connections >= attempts + 8, 20_000)
  t.ok(counts.connections >= attempts + 8, 'it is asked again and again')
  t.equal(counts.losses, 0, 'and was not lost')
  t.ok(sockets() <= before + 1, `${sockets()} sockets after ${clients.length} attempts, ${before} before`)

  await primary.unpause()
  paused = false
  t.ok(await eventually(() => monitor.reading !== undefined, 20_000))
  t.equal(monitor.failure, undefined)
  const { connections } = counts
  const { answers } = counts
  await eventually(() => counts.answers >= answers + 3)
  t.equal(counts.connections, connections, 'over one connection again')
  monitor.stop()
  patient.monitor.stop()
  t.ok(await eventually(async () => (await connectionsOnServer()) === 0), 'nothing is left on the server')
})

t.test('time in which this process was busy itself is not held against the server', async t => {
  const { monitor, counts } = watch(t, { interval: 1_000_000, timeout: 100 })
  await monitor.check()
  for (let round = 0; round < 5; round++) {
    const asked = monitor.check()
    // The question leaves, and its answer arrives while nobody looks.
    await new Promise(resolve => setImmediate(resolve))
    const start = performance.now()
    while (performance.now() - start < 250);
    await asked
    t.equal(monitor.failure, undefined)
  }
  t.equal(counts.connections, 1)
})

t.test('a restart is noticed by the connection that ends, not by the next question', async t => {
  const { monitor, counts, attempts } = watch(t, { interval: 1_000_000 })
  await monitor.check()
  const first = monitor.reading
  await primary.stop()
  t.ok(await eventually(() => counts.losses === 1))
  t.ok(await eventually(() => monitor.failure !== undefined))
  t.equal(monitor.reading, undefined)
  await primary.start()
  t.ok(await eventually(() => monitor.reading !== undefined, 30_000), `after ${attempts.length} attempts`)
  t.not(monitor.reading, first)
  await primary.kill()
  t.ok(await eventually(() => counts.losses === 2))
  await primary.start()
  t.ok(await eventually(() => monitor.reading !== undefined, 30_000))
  t.equal(counts.losses, 2)
})

t.test('a connection that ends before it was one is a failure, and no loss', async t => {
  const closing = createServer(socket => socket.end())
  await new Promise<void>(resolve => closing.listen(0, '127.0.0.1', resolve))
  t.teardown(() => closing.close())
  const url = new URL(primary.url)
  url.hostname = '127.0.0.1'
  url.port = String((closing.address() as AddressInfo).port)
  const { monitor, counts } = watch(t, { interval: 1_000_000, url: url.href })
  for (let times = 1; times <= 5; times++) {
    await monitor.check()
    t.match(monitor.failure, { message: /terminated|ECONNRESET/ })
  }
  t.equal(monitor.failures, 5)
  t.equal(counts.losses, 0)
})

t.test('a server that is gone is asked ever more rarely, and not by all at the same moment', async t => {
  const away = new URL(primary.url)
  away.port = '1'
  const many = Array.from({ length: 20 }, () => watch(t, { interval: 100_000, url: away.href }))
  await Promise.all(many.map(({ monitor }) => monitor.check()))
  await eventually(() => many.every(({ attempts }) => attempts.length >= 6), 30_000)
  for (const { attempts } of many) {
    const gaps = attempts.slice(1).map((at, index) => at - (attempts[index] as number))
    // A timer may fire a millisecond early.
    const isBackoff = gaps.every((gap, index) => gap >= 50 * 2 ** index - 2)
    t.ok(gaps.length >= 5 && isBackoff, gaps.map(Math.round).join(', '))
  }
  const fourth = many.map(({ attempts }) => (attempts[4] as number) - (attempts[3] as number))
  t.ok(Math.max(...fourth) - Math.min(...fourth) > 50, 'chance has a part in it')
})

t.test('however long it is gone, it is asked at least every other interval', async t => {
  const away = new URL(primary.url)
  away.port = '1'
  const { monitor, attempts } = watch(t, { interval: 30, url: away.href })
  await monitor.check()
  const start = performance.now()
  await eventually(() => attempts.length >= 21, 20_000)
  const each = (performance.now() - start) / 20
  t.ok(each >= 25 && each < 1_000, `${Math.round(each)} ms`)
})

t.test('stop leaves nothing: no timer, no connection, nobody who waits', async t => {
  const states: Record<string, (watched: Watched) => unknown> = {
    'before the first question': () => {},
    'between two questions': ({ monitor }) => monitor.check(),
    'while it connects': ({ monitor }) => void monitor.check(),
    'while it answers': async ({ monitor, counts }) => {
      void monitor.check()
      await eventually(() => counts.questions === 1)
    },
    'while somebody waits': async ({ monitor, counts }) => {
      await monitor.check()
      void monitor.until(() => false, 60_000)
      await eventually(() => counts.questions > 5)
    },
    'after it was lost': async ({ monitor, counts }) => {
      await monitor.check()
      await owner.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1',
        [NAME],
      )
      await eventually(() => counts.losses === 1)
    },
  }
  for (const [state, reach] of Object.entries(states)) {
    await leavesNothing(t, state, watch(t, { interval: 40 }), reach, 0)
    await leavesNothing(t, `${state}, with others`, watch(t, { interval: 40 }), reach)
    t.ok(await eventually(async () => (await connectionsOnServer()) === 0), `${state}: nothing on the server`)
  }
})

t.test('stop leaves nothing of a server that stands still either', { timeout: 60_000 }, async t => {
  const idle = watch(t, { interval: 60_000, timeout: 500 })
  await idle.monitor.check()
  const connected = watch(t, { interval: 60_000, timeout: 2_000 })
  await connected.monitor.check()
  const waitedFor = watch(t, { interval: 60_000, timeout: 2_000 })
  await waitedFor.monitor.check()
  await primary.pause()
  t.teardown(() => primary.unpause())
  await leavesNothing(t, 'between two questions', idle, () => {}, 0)
  await leavesNothing(t, 'when somebody begins to wait', connected, () => {})
  await leavesNothing(t, 'in the middle of a question', waitedFor, async ({ monitor, counts }) => {
    const { questions } = counts
    void monitor.until(() => false, 60_000)
    await eventually(() => counts.questions > questions)
  })
  await leavesNothing(
    t,
    'in the middle of connecting',
    watch(t, { timeout: 2_000 }),
    async ({ monitor, clients }) => {
      void monitor.check()
      await eventually(() => clients.length === 1)
    },
  )
  await leavesNothing(t, 'after it was too late', watch(t, { timeout: 50 }), async ({ monitor }) => {
    await monitor.check()
    t.ok(monitor.failure)
  })
})

t.test('who waits for an answer that does not come is let go by stop', { timeout: 30_000 }, async t => {
  const { monitor, clients } = watch(t, { timeout: 60_000 })
  await primary.pause()
  t.teardown(() => primary.unpause())
  void monitor.check()
  await eventually(() => clients.length === 1)
  const waiting = Promise.all([monitor.until(() => false, 60_000), monitor.check()])
  monitor.stop()
  t.equal((await waiting)[0], false)
})

t.test('stop leaves nothing of a server that is gone', async t => {
  const away = new URL(primary.url)
  away.port = '1'
  await leavesNothing(t, 'between two attempts', watch(t, { url: away.href }), async ({ monitor }) => {
    await monitor.check()
    void monitor.until(() => false, 60_000)
    await eventually(() => monitor.failure !== undefined)
  })
})

/** Stops a monitor in a state, and compares what there is with what there was. */
async function leavesNothing(
  t: Pick<typeof import('tap').default, 'ok' | 'notOk' | 'equal' | 'same'>,
  state: string,
  watched: Watched,
  reach: (watched: Watched) => unknown,
  waiters = 3,
): Promise<void> {
  const { monitor, counts, clients } = watched
  const timersBefore = new Set(timers)
  await reach(watched)
  const waiting = Array.from({ length: waiters }, () => monitor.until(() => false, 60_000))
  const before = { ...counts }
  monitor.stop()
  t.notOk((await Promise.all(waiting)).includes(true), `${state}: nobody waits`)
  const isClosed = (client: pg.Client): boolean =>
    (client as unknown as PgSocketOwner).connection.stream.destroyed
  t.ok(await eventually(() => clients.every(isClosed)), `${state}: every socket is closed`)
  const left = (): number[] => [...timers].filter(id => !timersBefore.has(id))
  // `eventually` has a timer itself, while it waits.
  t.ok(await eventually(() => left().length <= 1), `${state}: ${left().length} timers`)
  await monitor.check()
  t.equal(await monitor.until(() => false, 60_000), false)
  t.same(
    { ...counts, losses: 0, answers: 0 },
    { ...before, losses: 0, answers: 0 },
    `${state}: nothing was asked since`,
  )
  t.ok(counts.answers <= before.answers, `${state}: nobody was told anything since`)
}
