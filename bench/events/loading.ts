import type { Comparison } from '../lib/bench.ts'
import { Dog, type Store } from './store.ts'
import type { Candidate } from './turns.ts'

const EVENTS = 10_000
/** Since the snapshot was taken. */
const SINCE = 10

/** Loads an aggregate of many events. */
export async function loadCandidates(store: Store): Promise<Candidate[]> {
  const log = await store.log('loads')
  const cached = await store.log('cached_loads', 'watermark', { cache: { max: 10 } })
  const plain = Dog.register()
  const snapped = Dog.register()
  const kept = Dog.register()
  for (const dog of [plain, snapped, kept]) {
    while (dog.version < EVENTS - SINCE) dog.addTrick('roll over')
  }
  await log.save(plain, snapped)
  await cached.save(kept)
  await log.takeSnapshot(snapped.id)
  for (const dog of [plain, snapped, kept]) {
    while (dog.version < EVENTS) dog.addTrick('play dead')
  }
  await log.save(plain, snapped)
  await cached.save(kept)
  const get =
    (from: typeof log, { id }: Dog) =>
    async () => {
      const { version, tricks } = await from.repository.get(id)
      if (version !== EVENTS || tricks.length !== EVENTS - 1)
        throw new Error(`it has come to ${version} only`)
    }
  return [
    { name: 'events', work: get(log, plain) },
    { name: 'snapshot', work: get(log, snapped) },
    { name: 'cache', work: get(cached, kept) },
  ]
}

export const LOAD_COMPARISONS: readonly Comparison[] = [
  { name: 'from a snapshot: from all events', ours: ['snapshot'], theirs: ['events'], target: null },
  { name: 'from the cache: from all events', ours: ['cache'], theirs: ['events'], target: null },
]
