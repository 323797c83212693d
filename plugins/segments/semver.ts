/** A version by SemVer 2.0.0. Its build is not kept: it takes no part in any comparison. */
export interface Semver {
  /** Major, minor, patch; of any size. */
  readonly core: readonly [bigint, bigint, bigint]
  /** Its identifiers, `['rc', '1']`; none for a release. */
  readonly prerelease: readonly string[]
}

const NUMBER = '(?:0|[1-9][0-9]*)'
const IDENTIFIER = `(?:${NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)`
const SEMVER = new RegExp(
  `^(${NUMBER})\\.(${NUMBER})\\.(${NUMBER})` +
    `(?:-(${IDENTIFIER}(?:\\.${IDENTIFIER})*))?(?:\\+[0-9a-zA-Z-]+(?:\\.[0-9a-zA-Z-]+)*)?$`,
)

/**
 * Reads a version strictly: no `v`, no leading zeros, all three numbers.
 *
 * @returns undefined when it is none
 */
export function parseSemver(text: string): Semver | undefined {
  const match = SEMVER.exec(text)
  if (match === null) return undefined
  const [, major = '', minor = '', patch = '', prerelease] = match
  return Object.freeze({
    core: Object.freeze([BigInt(major), BigInt(minor), BigInt(patch)] as const),
    prerelease: Object.freeze(prerelease === undefined ? [] : prerelease.split('.')),
  })
}

/**
 * SemVer's precedence.
 *
 * @returns negative when `a` is before `b`, 0 when they are equal but for the build, positive when it is after
 */
export function compareSemver(a: Semver, b: Semver): number {
  for (const [index, number] of a.core.entries()) {
    const other = b.core[index] as bigint
    if (number !== other) return number < other ? -1 : 1
  }
  return comparePrereleases(a.prerelease, b.prerelease)
}

function comparePrereleases(a: readonly string[], b: readonly string[]): number {
  // A release is after all of its prereleases.
  if (a.length === 0 || b.length === 0) return (a.length === 0 ? 1 : 0) - (b.length === 0 ? 1 : 0)
  for (const [index, identifier] of a.entries()) {
    const other = b[index]
    if (other === undefined) return 1
    const difference = compareIdentifiers(identifier, other)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** Numbers are before words. Without leading zeros the longer number is the greater one. */
function compareIdentifiers(a: string, b: string): number {
  const isNumber = /^[0-9]+$/.test(a)
  if (isNumber !== /^[0-9]+$/.test(b)) return isNumber ? -1 : 1
  if (isNumber && a.length !== b.length) return a.length - b.length
  if (a === b) return 0
  return a < b ? -1 : 1
}
