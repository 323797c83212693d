import type { EvaluationContext } from '@openfeature/server-sdk'
import type { Entries } from './flag.ts'

/**
 * OpenFeature's evaluation context as entries of a flag. The targeting key becomes the actor under the names of
 * `actorKeys` that the context does not use itself. A date becomes its ISO 8601 text; lists and objects are nobody's id
 * and are left out.
 *
 * @param context what OpenFeature has merged
 * @param actorKeys names under which flags look for the subject
 */
export function entriesOf(context: EvaluationContext, actorKeys: readonly string[]): Entries {
  const entries: [string, Entries[string]][] = []
  const { targetingKey } = context
  if (targetingKey !== undefined) for (const key of actorKeys) entries.push([key, targetingKey])
  for (const [key, value] of Object.entries(context)) {
    if (value instanceof Date) entries.push([key, isoText(value)])
    else if (value === null || typeof value !== 'object') entries.push([key, value])
  }
  // Of two pairs with the same key the last one counts: what the context says itself.
  return Object.fromEntries(entries)
}

function isoText(date: Date): string | undefined {
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString()
}
