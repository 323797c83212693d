import { errors as coreErrors } from '../../src/index.ts'
import { MOST_BYTES, problemOfKey, problemOfText } from './storable.ts'

/** Milliseconds; a longer timer would fire at once. */
const LONGEST_TTL = 2 ** 31 - 1

/** What is wrong with a value; undefined when nothing is. */
type Check = (value: unknown) => string | undefined

const text: Check = value =>
  typeof value === 'string' && value !== '' ? problemOfText(value, 'it') : 'must be a text that is not empty'
const boolean: Check = value => (typeof value === 'boolean' ? undefined : 'must be true or false')
const object: Check = value =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'must be an object'
const milliseconds: Check = value =>
  typeof value === 'number' && value > 0 && value <= LONGEST_TTL
    ? undefined
    : `must be milliseconds, from 1 to ${LONGEST_TTL}`

const CHECKS: Readonly<Record<string, Check>> = {
  environment: object,
  engine: text,
  readEngine: text,
  createTables: boolean,
  identity: value => (typeof value === 'function' ? undefined : 'must be a function of the request'),
  segments: value => (Array.isArray(value) ? undefined : 'must be a list of segments'),
  tables: object,
  schema: text,
  ttl: milliseconds,
  requestProperty: text,
}
const TABLE_CHECKS: Readonly<Record<string, Check>> = { identities: text, segments: text, members: text }
const ENVIRONMENT_CHECKS: Readonly<Record<string, Check>> = {
  key: value => text(value) ?? problemOfKey(String(value), 'it', MOST_BYTES.environment),
  name: text,
}

/**
 * Checks every option that is there, that it is known, and that there is an environment.
 *
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function assertOptions(options: object): void {
  const { environment, tables } = options as { environment?: object; tables?: object }
  if (object(environment) !== undefined) refuse('environment', 'must be `{ key, name }`')
  assertEach(options, CHECKS, '')
  assertEach({ key: undefined, name: undefined, ...environment }, ENVIRONMENT_CHECKS, 'environment.', true)
  if (tables !== undefined) assertEach(tables, TABLE_CHECKS, 'tables.')
}

function assertEach(
  values: object,
  checks: Readonly<Record<string, Check>>,
  prefix: string,
  isRequired = false,
): void {
  for (const [name, value] of Object.entries(values)) {
    if (!Object.hasOwn(checks, name)) {
      refuse(`${prefix}${name}`, `is not known; there are: ${Object.keys(checks).join(', ')}`)
    }
    if (value === undefined && !isRequired) continue
    const problem = checks[name]?.(value)
    if (problem !== undefined) refuse(`${prefix}${name}`, problem)
  }
}

function refuse(name: string, problem: string): never {
  throw new coreErrors.SQLA_ERR_INVALID_OPTION(name, problem)
}
