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

/** The change that makes a flag what it once was, whatever it has become since. */
export function changeBackTo(data: FlagData): Omit<FlagInput, 'name'> {
  const { name: _name, version: _version, updated_at: _updated, ...then } = data
  return {
    variants: null,
    segments: null,
    requires: null,
    from: null,
    until: null,
    owner: null,
    description: null,
    // A flag without one is flypper's.
    hash: 'flypper',
    ...then,
  }
}
