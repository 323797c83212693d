import { setTimeout as sleep } from 'node:timers/promises'

// Waiting that can be ended, and leaves nothing behind in what has ended it.

/** Nobody needs to look at its rejection. */
export function silent<T>(one: PromiseWithResolvers<T>): PromiseWithResolvers<T> {
  one.promise.catch(() => {})
  return one
}

/** Ends early, and well, when it is aborted. */
export async function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => {})
}

/** With a signal that is aborted when one of two is; nothing stays behind in the one that lives longer. */
export async function withEither(
  one: AbortSignal,
  other: AbortSignal,
  work: (either: AbortSignal) => Promise<void>,
): Promise<void> {
  if (one === other) return work(one)
  const either = new AbortController()
  const end = () => either.abort()
  if (one.aborted || other.aborted) end()
  one.addEventListener('abort', end)
  other.addEventListener('abort', end)
  try {
    await work(either.signal)
  } finally {
    one.removeEventListener('abort', end)
    other.removeEventListener('abort', end)
  }
}
