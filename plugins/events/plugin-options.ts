import { errors as coreErrors } from '../../src/index.ts'

/** Milliseconds; a longer timer would fire at once. */
const LONGEST_INTERVAL = 2 ** 31 - 1

/** What is wrong with a value; undefined when nothing is. */
type Check = (value: unknown) => string | undefined

const text: Check = value =>
  typeof value === 'string' && value !== '' ? undefined : 'must be a text that is not empty'
const boolean: Check = value => (typeof value === 'boolean' ? undefined : 'must be true or false')
const object: Check = value =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'must be an object'
const list: Check = value => (Array.isArray(value) ? undefined : 'must be a list')
const count: Check = value =>
  Number.isSafeInteger(value) && Number(value) >= 1 ? undefined : 'must be a whole number, at least 1'
/** What is in it is checked where the aggregates are known. */
const countOrObject: Check = value => (typeof value === 'number' ? count(value) : object(value))
const withMethods =
  (...methods: readonly string[]): Check =>
  value =>
    methods.every(method => typeof (value as Record<string, unknown> | null)?.[method] === 'function')
      ? undefined
      : `must have the methods ${methods.join(', ')}`

const CHECKS: Readonly<Record<string, Check>> = {
  aggregates: value =>
    Array.isArray(value) && value.length > 0 && value.every(one => typeof one === 'function')
      ? undefined
      : 'must be a list of classes that extend Aggregate',
  application: value =>
    typeof value === 'function' ? undefined : 'must be a class that extends Application',
  cache: object,
  cipher: withMethods('encrypt', 'decrypt'),
  compressor: withMethods('compress', 'decompress'),
  createTables: boolean,
  engine: text,
  log: withMethods('info', 'warn', 'error'),
  name: text,
  notify: boolean,
  ordering: value =>
    value === 'watermark' || value === 'strict' ? undefined : "must be 'watermark' or 'strict'",
  pollInterval: value =>
    typeof value === 'number' && value > 0 && value <= LONGEST_INTERVAL
      ? undefined
      : `must be milliseconds, from 1 to ${LONGEST_INTERVAL}`,
  requestProperty: text,
  schema: text,
  snapshotEvery: countOrObject,
  tables: object,
  transcodings: list,
}
const TABLE_CHECKS: Readonly<Record<string, Check>> = { events: text, snapshots: text, tracking: text }
const CACHE_CHECKS: Readonly<Record<string, Check>> = { max: count }

/**
 * Checks every option that is there, that it is known, and that there are aggregates and an application.
 *
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function assertOptions(options: object): void {
  const given = options as { aggregates?: unknown; tables?: object; cache?: object }
  assertEach({ aggregates: given.aggregates }, CHECKS, '', true)
  assertEach(options, CHECKS, '')
  if (given.tables !== undefined) assertEach(given.tables, TABLE_CHECKS, 'tables.')
  if (given.cache !== undefined) assertEach({ max: undefined, ...given.cache }, CACHE_CHECKS, 'cache.', true)
}

function assertEach(
  values: object,
  checks: Readonly<Record<string, Check>>,
  prefix: string,
  isRequired = false,
): void {
  for (const [name, value] of Object.entries(values)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined
    if (check === undefined) {
      refuse(`${prefix}${name}`, `is not known; there are: ${Object.keys(checks).join(', ')}`)
    }
    if (value === undefined && !isRequired) continue
    const problem = check(value)
    if (problem !== undefined) refuse(`${prefix}${name}`, problem)
  }
}

function refuse(name: string, problem: string): never {
  throw new coreErrors.SQLA_ERR_INVALID_OPTION(name, problem)
}
