import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { FlagClient, type FlagClientOptions, MemoryFlagStorage } from '../../plugins/flags/index.ts'

// Which flags are asked for, as a client writes it down.

const HOUR = 3_600_000

/** A storage that remembers what was noted, and fails as it is told. */
class WatchedStorage extends MemoryFlagStorage {
  readonly noted: string[][] = []
  attempts = 0
  failure: (() => Promise<void>) | undefined

  override noteAsked(names: readonly string[]): Promise<void> {
    this.attempts++
    if (this.failure !== undefined) return this.failure()
    this.noted.push([...names].sort())
    return super.noteAsked(names)
  }
}

interface Watched {
  readonly storage: WatchedStorage
  readonly client: FlagClient
  readonly warnings: string[]
  /** Several times `ttl`. */
  rounds(): Promise<void>
  /** Moves the clock on. */
  pass(milliseconds: number): void
}

async function watched(t: Test, options: Partial<FlagClientOptions> = {}): Promise<Watched> {
  let now = Date.now()
  t.intercept(Date, 'now', { value: () => now })
  const storage = new WatchedStorage()
  for (const name of ['a', 'b', 'c']) await storage.upsert({ name, enabled: true })
  await storage.upsert({ name: 'requires c', enabled: true, requires: ['c'] })
  const warnings: string[] = []
  const client = new FlagClient({
    storage,
    ttl: 5,
    log: { warn: (_object, message) => warnings.push(message) },
    ...options,
  })
  t.teardown(() => client.close())
  await client.start()
  return {
    storage,
    client,
    warnings,
    rounds: () => sleep(30),
    pass(milliseconds) {
      now += milliseconds
    },
  }
}

t.test('a flag that is asked for is written down once an hour', async t => {
  const { storage, client, rounds, pass } = await watched(t)
  await rounds()
  t.same(storage.noted, [[]], 'at first that somebody writes down, once')
  const context = client.context()
  for (let n = 0; n < 10; n++) context.isEnabled('a')
  await rounds()
  t.same(storage.noted.splice(0), [[], ['a']])
  context.isEnabled('a')
  context.value('b', false)
  await rounds()
  t.same(storage.noted.splice(0), [['b']], 'another one at once')
  pass(HOUR - 1)
  await rounds()
  t.same(storage.noted, [], 'not within the hour')
  pass(1)
  await rounds()
  t.same(storage.noted.splice(0), [['a']], 'then what has been asked for since')
  pass(HOUR)
  await rounds()
  t.same(storage.noted, [], 'and nothing that nobody asks for')
})

t.test('it counts however a flag is asked for', async t => {
  const { storage, client, rounds } = await watched(t)
  client.context().isDisabled('a')
  client.context().details('b', false)
  client.context().isEnabled('requires c')
  client.context().isEnabled('unknown')
  await rounds()
  t.same(storage.noted.flat(), ['a', 'b', 'c', 'requires c'], 'also by a flag that requires it')
})

t.test('looking at flags is not asking for them', async t => {
  const { storage, client, rounds } = await watched(t)
  client.flags().get('a')?.isEnabled()
  await client.storage.list()
  await rounds()
  t.same(storage.noted, [[]])
})

t.test('a flag that is changed meanwhile was asked for all the same', async t => {
  const { storage, client, rounds } = await watched(t, { ttl: 50 })
  client.context().isEnabled('a')
  await storage.upsert({ name: 'a', enabled: false })
  await client.sync()
  await sleep(70)
  t.same(storage.noted.flat(), ['a'])
  await storage.purge('b')
  await rounds()
})

t.test('what fails is said once and tried again, not in a hurry', async t => {
  const { storage, client, warnings, rounds, pass } = await watched(t)
  storage.failure = async () => {
    await storage.upsert({ name: 'a', enabled: false })
    await client.sync()
    throw new Error('permission denied')
  }
  client.context().isEnabled('a')
  await rounds()
  t.equal(storage.attempts, 1)
  pass(60_000)
  await rounds()
  t.equal(storage.attempts, 2)
  t.same(warnings, ['which flags are asked for could not be written down'])
  storage.failure = undefined
  pass(60_000)
  await rounds()
  t.same(storage.noted.splice(0), [['a']], 'although the flag has a newer version by now')
  t.equal(client.stale, false, 'the flags themselves were never stale')
  storage.failure = () => {
    throw new TypeError('a mistake of the storage')
  }
  client.context().isEnabled('b')
  await rounds()
  t.equal(warnings.length, 2, 'and again when it fails anew')
})

t.test('while the flags cannot be read nothing is tried', async t => {
  const { storage, client, warnings, rounds } = await watched(t)
  await rounds()
  storage.changesSince = () => Promise.reject(new Error('no connection'))
  await t.rejects(client.sync())
  const { attempts } = storage
  client.context().isEnabled('a')
  await rounds()
  await client.close()
  t.equal(storage.attempts, attempts)
  t.same(warnings, ['the flags could not be read; the last ones go on serving'], 'one warning for one cause')
})

t.test('the flags are asked for first', async t => {
  const { storage, client, rounds } = await watched(t)
  await rounds()
  const asked: string[] = []
  t.intercept(storage, 'changesSince', {
    value: async () => {
      asked.push('changes')
      return { version: 4, flags: [], complete: false }
    },
  })
  t.intercept(storage, 'noteAsked', {
    value: async () => void asked.push('usage'),
  })
  client.context().isEnabled('a')
  await rounds()
  t.same(asked.slice(0, 2), ['changes', 'usage'])
})

t.test('it need not be written down', async t => {
  const { storage, client, rounds } = await watched(t, { recordUsage: false })
  client.context().isEnabled('a')
  await rounds()
  await client.close()
  t.equal(storage.attempts, 0)
})

t.test('a storage may have no place for it', async t => {
  const { storage, client, warnings, rounds } = await watched(t)
  Object.assign(storage, { noteAsked: undefined })
  client.context().isEnabled('a')
  await rounds()
  await client.close()
  t.same(warnings, [])
})

t.test('what was asked for is written down at the end', async t => {
  const { storage, client } = await watched(t, { ttl: 60_000 })
  client.context().isEnabled('a')
  await client.close()
  t.same(storage.noted, [['a']])
  await client.close()
  t.equal(storage.attempts, 1, 'once')
})

t.test('and so is what was asked for while something was being written', async t => {
  const { storage, client } = await watched(t)
  storage.failure = async () => {
    storage.failure = undefined
    await sleep(50)
  }
  client.context().isEnabled('a')
  await sleep(20)
  t.equal(storage.attempts, 1)
  client.context().isEnabled('b')
  await client.close()
  t.same(storage.noted, [['b']])
})

t.test('a client that nobody has asked writes nothing at its end', async t => {
  const { storage, client } = await watched(t, { ttl: 60_000 })
  await client.close()
  const unused = new FlagClient({ storage })
  await unused.close()
  t.equal(storage.attempts, 0)
})

t.test('a storage that does not answer keeps nobody from ending', async t => {
  for (const at of ['while it runs', 'at the end']) {
    const { storage, client, rounds, warnings } = await watched(t)
    if (at === 'at the end') await rounds()
    const { promise, resolve } = Promise.withResolvers<void>()
    storage.failure = () => promise
    client.context().isEnabled('a')
    if (at === 'while it runs') await rounds()
    const { attempts } = storage
    const begin = performance.now()
    await client.close()
    const took = performance.now() - begin
    t.ok(took < 1_500, `${at}: ${took.toFixed(0)} ms`)
    t.equal(storage.attempts, at === 'at the end' ? attempts + 1 : attempts)
    t.same(warnings, [])
    resolve()
  }
})
