import type { FlagData, FlagInput } from './flag-data.ts'
import type { HistoryAction } from './store.ts'

// What the history of a flag says, wherever it is kept.

/** How many entries a page of the history has, unless told. */
export const HISTORY_LIMIT = 100

/** What a change has done, seen from before. */
export function actionOf(before: FlagData | undefined, after: { readonly deleted: boolean }): HistoryAction {
  if (before === undefined) return 'created'
  if (before.deleted === after.deleted) return 'changed'
  return after.deleted ? 'deleted' : 'restored'
}

/** An author as the history keeps it. */
export function authorOf(author: string | undefined): string | null {
  // A database refuses half a character and NUL; nobody's change must fail for that.
  const text = author?.slice(0, 255).toWellFormed().replaceAll('\0', '').trim()
  return text ? text : null
}

/** The fields that need not be there and cannot be null: a new one does not compile until it is said here what it is then. */
type NeverNull = {
  [K in keyof FlagData]-?: undefined extends FlagData[K] ? (null extends FlagData[K] ? never : K) : never
}[keyof FlagData]

/** What such a field is where it is missing. */
const MISSING: { readonly [K in NeverNull]: NonNullable<FlagData[K]> } = { hash: 'flypper' }

/**
 * The change that makes a flag what it once was.
 *
 * @param then what it was
 * @param now what it is: what it did not have then, whoever has added it, becomes null
 */
export function changeBackTo(then: FlagData, now: FlagData): Omit<FlagInput, 'name'> {
  const nulls = Object.fromEntries(Object.keys(now).map(key => [key, null]))
  const {
    name: _name,
    version: _version,
    updated_at: _updated,
    ...change
  } = { ...nulls, ...MISSING, ...then }
  return change
}
