import type { Comparison } from './predicate.ts'
import type { Semver } from './semver.ts'

// A comparison of versions as one regular expression: no cast that could fail, numbers of any size, the whole precedence
// with prereleases, and one pass over the text. It uses only what PostgreSQL and RE2 have in common, and no `?`, which some
// drivers take for a parameter. No ranges either: what a range holds may depend on a collation.

const DIGITS = '0123456789'
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** What an identifier may have, in the order of its characters' codes. */
const ALPHABET = `-${DIGITS}${LETTERS}`

const DIGIT = `[${DIGITS}]`
const WORDY = `[-${LETTERS}]`
const ANY = `[${ALPHABET}]`
const NUMBER = `(0|[123456789]${DIGIT}*)`
const WORD = `${DIGIT}*${WORDY}${ANY}*`
const IDENTIFIER = `(0|[123456789]${DIGIT}*|${WORD})`
const MORE_IDENTIFIERS = `([.]${IDENTIFIER})*`
const PRERELEASE = `-${IDENTIFIER}${MORE_IDENTIFIERS}`
const BUILD = `([+]${ANY}+([.]${ANY}+)*|)`

/** Matches no text: something before the beginning. */
const NOTHING = 'a^'

/** Numbers and words of an operand are spelled out in the pattern once for each character. */
const LONGEST = 100

type Order = '<' | '>'

const ORDERS: Record<Comparison, readonly (Order | '=')[]> = {
  '=': ['='],
  '<>': ['<', '>'],
  '<': ['<'],
  '<=': ['<', '='],
  '>': ['>'],
  '>=': ['>', '='],
}

/** Patterns of the texts that are versions with some relation to another one. */
export interface SemverPatterns {
  /** For texts of three numbers: a small pattern, as those are most versions. */
  readonly releases: string
  /** For all texts. */
  readonly all: string
}

/**
 * The patterns of all texts that are versions with this relation to `version`.
 *
 * @returns undefined when the version has a number or word of more than 100 characters
 */
export function semverPatterns(comparison: Comparison, version: Semver): SemverPatterns | undefined {
  const parts = [...version.core.map(String), ...version.prerelease]
  if (parts.length > LONGEST || parts.some(part => part.length > LONGEST)) return undefined
  const orders = ORDERS[comparison]
  return {
    releases: patternOf(
      orders.flatMap(order => releases(order, version)),
      '',
    ),
    all: patternOf(
      orders.flatMap(order => versions(order, version)),
      BUILD,
    ),
  }
}

/** Nothing is before 0.0.0-0; an empty class of characters is in neither language. */
function patternOf(alternatives: readonly string[], end: string): string {
  return alternatives.length === 0 ? NOTHING : `^(${alternatives.join('|')})${end}$`
}

function releases(order: Order | '=', { core, prerelease }: Semver): string[] {
  const isAfterSame = order === '>' && prerelease.length > 0
  const isSame = order === '=' && prerelease.length === 0
  const others = order === '=' ? [] : otherCores(order, core)
  return isAfterSame || isSame ? [...others, core.join('[.]')] : others
}

function versions(order: Order | '=', { core, prerelease }: Semver): string[] {
  const same = core.join('[.]')
  if (order === '=') return [prerelease.length === 0 ? same : `${same}-${prerelease.join('[.]')}`]
  return [
    ...otherCores(order, core).map(other => `${other}(${PRERELEASE}|)`),
    ...prereleases(order, prerelease).map(end => same + end),
  ]
}

function otherCores(order: Order, [major, minor, patch]: Semver['core']): string[] {
  return [
    ...numbers(order, String(major)).map(other => `${other}[.]${NUMBER}[.]${NUMBER}`),
    ...numbers(order, String(minor)).map(other => `${major}[.]${other}[.]${NUMBER}`),
    ...numbers(order, String(patch)).map(other => `${major}[.]${minor}[.]${other}`),
  ]
}

/** What may follow the same three numbers. A release is after all of its prereleases. */
function prereleases(order: Order, identifiers: readonly string[]): string[] {
  if (identifiers.length === 0) return order === '<' ? [PRERELEASE] : []
  const others = otherIdentifiers(order, identifiers).map(other => `-${other}`)
  return order === '>' ? ['', ...others] : others
}

function otherIdentifiers(order: Order, [first = '', ...rest]: readonly string[]): string[] {
  const isNumber = /^[0-9]+$/.test(first)
  const others = isNumber ? numbers(order, first) : words(order, first)
  if (isNumber && order === '>') others.push(WORD)
  if (!isNumber && order === '<') others.push(NUMBER)
  const sameFirst: string[] = []
  if (rest.length > 0) {
    sameFirst.push(...otherIdentifiers(order, rest).map(other => `${first}[.]${other}`))
  }
  // The longer one is after the one that it begins with.
  if (rest.length > 0 && order === '<') sameFirst.push(first)
  if (rest.length === 0 && order === '>') sameFirst.push(`${first}([.]${IDENTIFIER})+`)
  return [...others.map(other => other + MORE_IDENTIFIERS), ...sameFirst]
}

/** Without leading zeros the longer number is the greater one. */
function numbers(order: Order, digits: string): string[] {
  const found = order === '>' ? [`[123456789]${DIGIT}{${digits.length},}`] : shorterNumbers(digits.length)
  for (let at = 0; at < digits.length; at++) {
    const lowest = at === 0 && digits.length > 1 ? '123456789' : DIGITS
    const other = oneOf(lowest, order, digits[at] as string)
    if (other !== '') found.push(digits.slice(0, at) + other + times(DIGIT, digits.length - at - 1))
  }
  return found
}

function shorterNumbers(length: number): string[] {
  return Array.from({ length: length - 1 }, (_, count) =>
    count === 0 ? DIGIT : `[123456789]${times(DIGIT, count)}`,
  )
}

/** Words, that is, identifiers with something that is no digit. */
function words(order: Order, word: string): string[] {
  const found = order === '>' ? [`${word}${ANY}+`] : []
  for (let at = 0; at < word.length; at++) {
    const prefix = word.slice(0, at)
    const isWord = /[^0-9]/.test(prefix)
    if (isWord && order === '<') found.push(prefix)
    const letter = oneOf(isWord ? ALPHABET : `-${LETTERS}`, order, word[at] as string)
    if (letter !== '') found.push(`${prefix}${letter}${ANY}*`)
    const digit = isWord ? '' : oneOf(DIGITS, order, word[at] as string)
    if (digit !== '') found.push(`${prefix}${digit}${WORD}`)
  }
  return found
}

function oneOf(characters: string, order: Order, than: string): string {
  const found = [...characters].filter(char => (order === '<' ? char < than : char > than)).join('')
  return found === '' ? '' : `[${found}]`
}

function times(pattern: string, count: number): string {
  return count === 0 ? '' : `${pattern}{${count}}`
}
