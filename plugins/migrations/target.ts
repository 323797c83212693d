import { errors } from './errors.ts'
import { partsOf } from './revisions.ts'

// Where a history is to go. Names of revisions in, names out; which of them are applied is given.

/** What is there, and what of it is applied. */
export interface Place {
  readonly engine: string
  /** Every revision that there is a file of, oldest first. */
  readonly revisions: readonly string[]
  /** The applied ones in the order in which they were applied; some may have no file any more. */
  readonly applied: readonly string[]
}

const isRelative = (to: string, sign: '+' | '-'): boolean => to[0] === sign && /^.\d{1,6}$/.test(to)

/**
 * The pending revisions that an upgrade runs, in their order.
 *
 * @param to `head` (default), `+N`, or a revision: its name, the beginning of its timestamp, or its slug
 * @throws SQLA_ERR_MIGRATION_TARGET
 */
export function upgradePath(place: Place, to = 'head'): string[] {
  const applied = new Set(place.applied)
  const pending = place.revisions.filter(name => !applied.has(name))
  if (to === 'head') return pending
  if (isRelative(to, '+')) return pending.slice(0, Number(to.slice(1)))
  const target = place.revisions.indexOf(findRevision(place, to, place.revisions))
  return pending.filter(name => place.revisions.indexOf(name) <= target)
}

/**
 * The applied revisions that a downgrade reverts, in the order in which it does.
 *
 * @param to `-N` (default `-1`), `base` or `0`, or the revision that is to be the newest one
 * @throws SQLA_ERR_MIGRATION_TARGET
 */
export function downgradePath(place: Place, to = '-1'): string[] {
  const newestFirst = [...place.applied].reverse()
  if (to === 'base' || to === '0') return newestFirst
  if (isRelative(to, '-')) return newestFirst.slice(0, Number(to.slice(1)))
  const target = findRevision(place, to, [...new Set([...place.revisions, ...place.applied])])
  const index = newestFirst.indexOf(target)
  if (index < 0) throw new errors.SQLA_ERR_MIGRATION_TARGET(to, place.engine, `${target} is not applied`)
  return newestFirst.slice(0, index)
}

/**
 * What a stamp writes down and what it crosses out.
 *
 * @param to `head` (default), `base` or `0`, or the revision that is to be the newest applied one
 * @throws SQLA_ERR_MIGRATION_TARGET
 */
export function stampPath(place: Place, to = 'head'): { mark: string[]; unmark: string[] } {
  const last =
    to === 'head'
      ? place.revisions.length - 1
      : to === 'base' || to === '0'
        ? -1
        : place.revisions.indexOf(findRevision(place, to, place.revisions))
  const wanted = new Set(place.revisions.slice(0, last + 1))
  const applied = new Set(place.applied)
  return {
    mark: [...wanted].filter(name => !applied.has(name)),
    unmark: place.applied.filter(name => !wanted.has(name)),
  }
}

function findRevision(place: Place, text: string, names: readonly string[]): string {
  if (names.includes(text)) return text
  const found = names.filter(name => {
    const { timestamp, slug } = partsOf(name)
    return slug === text || (/^\d{4,14}$/.test(text) && timestamp?.startsWith(text))
  })
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  throw new errors.SQLA_ERR_MIGRATION_TARGET(
    text,
    place.engine,
    found.length > 1
      ? `it could be ${found.join(' or ')}`
      : `there is ${names.length === 0 ? 'no revision yet' : names.slice(-5).join(', ')}`,
  )
}
