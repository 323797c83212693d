import { errors } from '../../src/index.ts'

/** What is wrong with a value; undefined when nothing is. */
export type Check = (value: unknown) => string | undefined

export const boolean: Check = value =>
  typeof value === 'boolean' ? undefined : `must be true or false, not ${described(value)}`

export const oneOf =
  (values: readonly string[]): Check =>
  value =>
    values.includes(value as string)
      ? undefined
      : `must be one of ${values.join(', ')}, not ${described(value)}`

/** Fastify adds these to the options of every plugin. */
const OF_FASTIFY = new Set(['prefix', 'logLevel', 'logSerializers'])

/**
 * Checks every option that is there, and that it is known.
 *
 * @param prefix of the options' names in the message
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function assertOptions(
  options: object,
  checks: Readonly<Record<string, Check>>,
  prefix: string,
): void {
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (check === undefined) {
      if (OF_FASTIFY.has(name)) continue
      const known = Object.keys(checks).join(', ')
      throw new errors.SQLA_ERR_INVALID_OPTION(`${prefix}.${name}`, `is not known; there are: ${known}`)
    }
    const problem = value === undefined ? undefined : check(value)
    if (problem !== undefined) throw new errors.SQLA_ERR_INVALID_OPTION(`${prefix}.${name}`, problem)
  }
}

export function described(value: unknown): string {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value)
  return typeof value === 'string' && value.length < 40 ? `'${value}'` : `a ${typeof value}`
}
