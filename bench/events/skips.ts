import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { openEmmett, registered } from './emmett.ts'
import type { MissedRow } from './rows.ts'
import { Dog, type Store } from './store.ts'

const WRITERS = 16
const MOST_EVENTS = 5
const ROLLED_BACK = 0.2
/** Milliseconds that a transaction is open after its INSERT, at most. */
const LONGEST = 10
/** Of their consumer, milliseconds. */
const POLL = 1
/** Nothing has come for so long: what has not come by then never does. Their consumer sleeps for up to 1 s. */
const SILENCE = 5000

class RolledBack extends Error {}

/** In a transaction: what a request may do after it has recorded events. */
async function rest(): Promise<void> {
  await sleep(Math.random() * LONGEST)
  if (Math.random() < ROLLED_BACK) throw new RolledBack()
}

/** What is written is compared with what comes. */
class Tally {
  readonly written = new Set<string>()
  readonly seen = new Set<string>()
  twice = 0

  see(key: string): void {
    if (this.seen.has(key)) this.twice++
    this.seen.add(key)
  }

  /** Waits until nothing has come for a while. */
  async silence(): Promise<void> {
    for (let before = -1; before !== this.seen.size && this.seen.size < this.written.size; ) {
      before = this.seen.size
      await sleep(SILENCE)
    }
  }

  row(name: string, target: MissedRow['target']): MissedRow {
    const missing = [...this.written].filter(key => !this.seen.has(key)).length
    return { bench: 'skips', name, written: this.written.size, missing, twice: this.twice, target }
  }
}

/** @param write appends so many events in a transaction; its promise has their keys when they are committed */
async function writers(
  tally: Tally,
  duration: number,
  write: (events: number) => Promise<readonly string[]>,
): Promise<void> {
  const end = performance.now() + duration
  await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      while (performance.now() < end) {
        try {
          const keys = await write(1 + Math.floor(Math.random() * MOST_EVENTS))
          for (const key of keys) tally.written.add(key)
        } catch (error) {
          if (!(error instanceof RolledBack)) throw error
        }
      }
    }),
  )
}

function keysOf(stream: string, events: number): string[] {
  return Array.from({ length: events }, (_, place) => `${stream}/${place + 1}`)
}

export async function ourSkips(store: Store, duration: number): Promise<MissedRow> {
  const log = await store.log('skips')
  const tally = new Tally()
  const subscription = log.subscribe()
  const following = (async () => {
    for await (const { originatorId, originatorVersion } of subscription) {
      tally.see(`${originatorId}/${originatorVersion}`)
    }
  })()
  await writers(tally, duration, async events => {
    const dog = Dog.register()
    for (let more = 1; more < events; more++) dog.addTrick('roll over')
    await log.transaction(async () => {
      await log.save(dog)
      await rest()
    })
    return keysOf(dog.id, events)
  })
  await tally.silence()
  await subscription.return()
  await following
  return tally.row('our Subscription', { missing: 0 })
}

export async function theirSkips(url: string, duration: number): Promise<MissedRow> {
  await using emmett = await openEmmett(url, rest)
  const { store } = emmett
  const tally = new Tally()
  const consumer = store.consumer({ pulling: { pullingFrequencyInMs: POLL } })
  consumer.reactor({
    processorId: randomUUID(),
    eachMessage: ({ metadata: { streamName, streamPosition } }) =>
      tally.see(`${streamName}/${streamPosition}`),
  })
  const following = consumer.start()
  await writers(tally, duration, async events => {
    const stream = `dog-${randomUUID()}`
    await store.appendToStream(stream, registered(events))
    return keysOf(stream, events)
  })
  await tally.silence()
  await consumer.stop()
  await following
  return tally.row(`the consumer of emmett-postgresql, polling every ${POLL} ms`, null)
}
