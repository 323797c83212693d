import { errors } from './errors.ts'

// Checks of option values. Each says what is wrong, or nothing.

/** What is wrong with a value; undefined when nothing is. */
export type Check = (value: unknown) => string | undefined

export const oneOf =
  (values: readonly unknown[]): Check =>
  value =>
    values.includes(value) ? undefined : `must be one of ${values.join(', ')}, not ${describe(value)}`
export const boolean: Check = value =>
  typeof value === 'boolean' ? undefined : `must be true or false, not ${describe(value)}`
export const milliseconds: Check = value =>
  typeof value === 'number' && value > 0 && value <= 2 ** 31 - 1
    ? undefined
    : `must be a number of milliseconds above 0, not ${describe(value)}`
export const string: Check = value =>
  typeof value === 'string' && value !== '' ? undefined : `must be a string, not ${describe(value)}`
export const positive: Check = value =>
  typeof value === 'number' && value > 0 && Number.isFinite(value)
    ? undefined
    : `must be a number above 0, not ${describe(value)}`
/** Says nothing of what it was given: there is a password in it. */
export const url: Check = value => {
  // `host:5432` would pass for a URL, of the scheme `host`.
  if (typeof value !== 'string' || !value.includes('://') || !URL.canParse(value)) return 'is not a URL'
  const { username, password, pathname } = new URL(value)
  try {
    decodeURIComponent(`${username}${password}${pathname}`)
    return undefined
  } catch {
    return 'has a % that stands for no character: write %25 for the sign itself'
  }
}
export const port: Check = value =>
  Number.isInteger(value) && Number(value) > 0 && Number(value) < 2 ** 16
    ? undefined
    : `must be a port, not ${describe(value)}`
export const object: Check = value =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? undefined
    : `must be an object, not ${describe(value)}`
export const names: Check = value =>
  Array.isArray(value) && value.length > 0 && value.every(name => typeof name === 'string')
    ? undefined
    : 'must be a list of engine names'
export const property: Check = value =>
  typeof value === 'string' && IDENTIFIER.test(value)
    ? undefined
    : `must be an identifier, not ${describe(value)}`

/** What may be the name of a property that code writes after a dot. */
export const IDENTIFIER = /^[A-Za-z_$][\w$]*$/

/**
 * Checks every option that is there, and that it is known.
 *
 * @param prefix of the option's name in the message
 * @param also names that are none of our business
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function check(
  known: Record<string, Check>,
  options: object,
  prefix: string,
  also = new Set<string>(),
): void {
  for (const [key, value] of Object.entries(options)) {
    if (also.has(key) || value === undefined) continue
    const rule = Object.hasOwn(known, key) ? known[key] : undefined
    if (rule === undefined) {
      throw new errors.SQLA_ERR_INVALID_OPTION(
        `${prefix}${key}`,
        `is not known; there are ${Object.keys(known).join(', ')}`,
      )
    }
    const problem = rule(value)
    if (problem !== undefined) throw new errors.SQLA_ERR_INVALID_OPTION(`${prefix}${key}`, problem)
  }
}

/** Never the value of an object: it could hold a password. */
export function describe(value: unknown): string {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value)
  return typeof value === 'string' && value.length < 40 && !value.includes(':')
    ? `'${value}'`
    : `a ${typeof value}`
}
