import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Refresher, type RefresherOptions } from '../src/index.ts'

// What is read, applied and told, in which order. What it is like with a database, the tests of flags and segments say.

interface Watched {
  readonly refresher: Refresher<number>
  /** What was done, in order. */
  readonly done: string[]
}

/** Reads 1, 2, 3… */
function watched(t: Test, options: Partial<RefresherOptions<number>> = {}): Watched {
  const done: string[] = []
  let read = 0
  const refresher = new Refresher<number>({
    async read() {
      return ++read
    },
    apply: value => done.push(`apply ${value}`),
    ttl: 60_000,
    onFailure: (error, isFirst) => done.push(`${(error as Error).message}${isFirst ? ', first' : ''}`),
    ...options,
  })
  t.teardown(() => refresher.close())
  return { refresher, done }
}

/** One refresh. */
const ONE = ['read', 'apply 1']

function activeTimers(): number {
  return process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
}

t.test('calls at the same time share one question, and one during it asks once more', async t => {
  const { refresher, done } = watched(t)
  const first = refresher.refresh()
  t.equal(refresher.refresh(), first)
  t.equal(refresher.refresh(), first)
  await first
  t.same(done, ['apply 1', 'apply 2'])
  await refresher.refresh()
  t.same(done, ['apply 1', 'apply 2', 'apply 3'])
})

t.test('who asks when the answer is there, and nobody has been told of it yet, is not forgotten', async t => {
  let asked: Promise<void> | undefined
  const { refresher, done } = watched(t, {
    apply(value) {
      done.push(`apply ${value}`)
      // Behind the end of the loop that asks, and before those are told who wait for it.
      if (value === 1) queueMicrotask(() => (asked = refresher.refresh()))
    },
  })
  await refresher.refresh()
  await asked
  t.same(done, ['apply 1', 'apply 2'])
})

t.test('a failure is kept until the value is read again', async t => {
  let isBroken = true
  const failures: unknown[] = []
  const { refresher, done } = watched(t, {
    read: () => (isBroken ? Promise.reject(new TypeError('no answer')) : Promise.resolve(7)),
    apply(value) {
      done.push(`apply ${value}`)
      failures.push(refresher.failure)
    },
  })
  await t.rejects(refresher.refresh(), { message: 'no answer' })
  await t.rejects(refresher.refresh(), { message: 'no answer' })
  t.match(refresher.failure, { message: 'no answer' })
  isBroken = false
  await refresher.refresh()
  t.equal(refresher.failure, undefined)
  t.same(failures, [undefined], 'whoever applies the value sees that it could be read')
  isBroken = true
  await t.rejects(refresher.refresh())
  t.same(done, ['no answer, first', 'no answer', 'apply 7', 'no answer, first'])
})

t.test('a value that cannot be applied is a failure, too, which is there when it is told', async t => {
  const told: unknown[] = []
  const { refresher } = watched(t, {
    apply() {
      throw new TypeError('no such value')
    },
    onFailure: () => told.push(refresher.failure),
  })
  await t.rejects(refresher.refresh(), { message: 'no such value' })
  t.match(told, [{ message: 'no such value' }])
})

t.test('it reads when it starts, when it is told to, and every ttl, until it is closed', async t => {
  let tell = () => {}
  const { refresher, done } = watched(t, {
    ttl: 20,
    async read() {
      done.push('read')
      return 1
    },
    subscribe(onChange) {
      done.push('subscribe')
      tell = onChange
      return async () => void done.push('unsubscribe')
    },
    onTick: () => done.push('tick'),
  })
  await refresher.start()
  tell()
  await refresher.refresh()
  t.same(done.splice(0), ['subscribe', ...ONE, ...ONE, ...ONE])
  await refresher.start()
  t.same(done.splice(0), ONE, 'started twice, it has one subscription')
  while (done.filter(one => one === 'tick').length < 2) await sleep(1)
  t.same(done.splice(0, 4), ['tick', ...ONE, 'tick'])
  await refresher.close(async () => void done.push('finish'))
  t.same(done.splice(0).slice(-2), ['unsubscribe', 'finish'])
  await sleep(60)
  t.same(done, [], 'then nothing more')
  await refresher.start()
  while (!done.includes('tick')) await sleep(1)
  t.same(done.splice(0, 4), ['subscribe', ...ONE, 'tick'], 'until it is started again')
})

t.test('it starts when reading fails, and what tells and ticks fails silently', async t => {
  let tell = () => {}
  const { refresher, done } = watched(t, {
    read: () => Promise.reject(new TypeError('no answer')),
    ttl: 5,
    subscribe(onChange) {
      tell = onChange
      return undefined
    },
  })
  await refresher.start()
  tell()
  while (done.length < 4) await sleep(1)
  t.equal(done.filter(one => one.endsWith('first')).length, 1)
})

t.test('it keeps no process alive, and waits for nobody who has answered', async t => {
  const before = activeTimers()
  const { refresher } = watched(t)
  await refresher.start()
  t.equal(activeTimers(), before)
  await refresher.close()
  t.equal(activeTimers(), before)
})

t.test('what does not answer keeps nobody from starting and ending', async t => {
  const { refresher } = watched(t, { read: () => new Promise(() => {}), ttl: 50 })
  const begin = performance.now()
  await refresher.start()
  await refresher.close(() => new Promise(() => {}))
  const took = performance.now() - begin
  t.ok(took > 1_000 && took < 3_000, `${took.toFixed(0)} ms`)
})

t.test('what is under way at the end is waited for', async t => {
  const ended: string[] = []
  const late = async (what: string) => {
    await sleep(100)
    ended.push(what)
  }
  const { refresher } = watched(t, { read: () => late('read').then(() => 1) })
  await refresher.close(() => late('finish'))
  t.same(ended.splice(0), ['finish'])
  void refresher.refresh()
  await refresher.close(() => Promise.reject(new TypeError('too late for anybody')))
  t.same(ended, ['read'], 'whether the rest ends well or not')
})

t.test('a ttl must be a time that a timer can wait', async t => {
  for (const ttl of [0, -1, Number.NaN, 2 ** 31, '5' as never]) {
    t.throws(() => watched(t, { ttl }), {
      code: 'SQLA_ERR_INVALID_OPTION',
      message: /ttl must be milliseconds/,
    })
  }
})
