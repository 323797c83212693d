import { NotFoundError, ValidationError } from '@mikro-orm/core'
import { type DatabaseNames, databaseNames, type MetadataSource, type NamedTable } from './database-names.ts'
import { errors } from './errors.ts'
import { type Violation, violationOf } from './violation.ts'

export type { MetadataSource }

/** The codes of a {@link ClientError}. */
export type ClientErrorCode =
  | 'SQLA_ERR_NOT_FOUND'
  | 'SQLA_ERR_UNIQUE_VIOLATION'
  | 'SQLA_ERR_FOREIGN_KEY_VIOLATION'
  | 'SQLA_ERR_CHECK_VIOLATION'
  | 'SQLA_ERR_NOT_NULL_VIOLATION'
  | 'SQLA_ERR_INVALID_VALUE'

/** What a client's data ran into, in the words of the application's entities. */
export interface ClientError extends Error {
  readonly code: ClientErrorCode
  /** 404, 409 or 422. */
  readonly statusCode: number
  /** The entity whose row was refused (or, of a row that is still referred to, kept). */
  readonly entity: string | undefined
  /** Its properties that a form could mark, those of an embeddable with their path; empty when nobody knows. */
  readonly fields: readonly string[]
  /** What MikroORM or the driver threw: has SQL and values, so it is for the log. */
  readonly cause: unknown
}

/**
 * Turns what MikroORM or a driver threw into an error that a client may see: not found 404, unique and foreign key
 * 409, check, not-null and values that cannot be stored 422. The message names the entity and its properties where
 * the driver says enough to be certain of them, and never SQL, names of the database or values.
 *
 * PostgreSQL does not say which column of a value is too long or invalid; SQLite does not say which foreign key
 * failed: the message then does without.
 *
 * @param error anything that was thrown
 * @param source whose entities it is about: the session, or any other EntityManager; a MikroORM instance
 * @returns a {@link ClientError} with `cause`, or `error` itself when it is none of these (a deadlock, a lost
 * connection, an error of this package, anything else)
 *
 * @example
 * ```ts
 * try {
 *   await em.flush()
 * } catch (error) {
 *   throw toClientError(error, em) // There is already an Author with this name
 * }
 * ```
 */
export function toClientError(error: unknown, source: MetadataSource): unknown {
  return translate(error, [source]) ?? error
}

/**
 * Whether an error is what {@link toClientError} makes.
 *
 * @example
 * ```ts
 * if (isClientError(error)) reply.code(error.statusCode).send({ message: error.message, fields: error.fields })
 * ```
 */
export function isClientError(error: unknown): error is ClientError {
  return error instanceof Error && made.has(error)
}

/**
 * The same where it is not known which of several engines an error is from. Where their entities tell different
 * stories about it, none is told.
 */
export function translate(error: unknown, sources: Iterable<MetadataSource>): ClientError | undefined {
  const violation = violationOf(error)
  if (violation === undefined && !(error instanceof ValidationError)) return undefined
  const tell = (names: DatabaseNames | undefined): Story | undefined =>
    violation === undefined ? ormStory(error as ValidationError, names) : story(violation, names)
  const stories = new Map<string, Story>()
  for (const source of sources) {
    const told = tell(databaseNames(source))
    if (told?.entity !== undefined) stories.set(JSON.stringify(told), told)
  }
  const [only] = stories.size === 1 ? stories.values() : []
  const told = only ?? tell(undefined)
  return told === undefined ? undefined : clientError(told, error)
}

/** What a {@link ClientError} says. */
export interface Story {
  readonly code: ClientErrorCode
  /** The message, or what the message of the code's row is made of. */
  readonly message: string | readonly string[]
  readonly entity?: string | undefined
  readonly fields?: readonly string[]
}

const made = new WeakSet<Error>()

/** For those who find out by themselves, such as that there is nothing with a key. */
export function clientError({ code, message, entity, fields = [] }: Story, cause?: unknown): ClientError {
  const error = new errors[code](...[message].flat())
  // Not enumerable: what is spread or serialised must not carry the driver's words along.
  if (cause !== undefined) {
    Object.defineProperty(error, 'cause', { value: cause, configurable: true, writable: true })
  }
  made.add(error)
  return Object.assign(error, { entity, fields }) as ClientError
}

function story(violation: Violation, names: DatabaseNames | undefined): Story {
  const table = names === undefined ? undefined : tableOf(violation, names)
  switch (violation.kind) {
    case 'unique':
      return uniqueStory(violation, table)
    case 'foreignKey':
      return foreignKeyStory(violation, table)
    case 'check':
      return checkStory(violation, table)
    case 'notNull':
      return notNullStory(violation, table)
    case 'value':
      return valueStory(violation, table)
  }
}

function tableOf(violation: Violation, names: DatabaseNames): NamedTable | undefined {
  const { table, schema, constraint, qualifiedColumns } = violation
  if (qualifiedColumns !== undefined) {
    const found = names.tables.filter(candidate => unqualified(qualifiedColumns, candidate) !== undefined)
    return found.length === 1 ? found[0] : undefined
  }
  const byName = names.table(table, schema)
  // What a trigger did is told of the statement's table, with a key of another one.
  if (constraint === undefined || byName?.has(constraint)) return byName
  return names.tableWith(constraint) ?? byName
}

/** SQLite's `t.a, t.b` as columns of a table. A name may have a dot or a comma in it. */
function unqualified(qualified: string, table: NamedTable): string[] | undefined {
  const prefix = `${table.name}.`
  if (!qualified.startsWith(prefix)) return undefined
  const columns = qualified.slice(prefix.length).split(`, ${prefix}`)
  return columns.every(column => table.hasColumn(column)) ? columns : undefined
}

function columnsOf(violation: Violation, table: NamedTable): readonly string[] | undefined {
  if (violation.qualifiedColumns !== undefined) return unqualified(violation.qualifiedColumns, table)
  return violation.columns
}

function uniqueStory(violation: Violation, table: NamedTable | undefined): Story {
  const code = 'SQLA_ERR_UNIQUE_VIOLATION'
  if (table === undefined) return { code, message: 'There is already one like this' }
  const { entity, relation } = table
  if (relation !== undefined) {
    return { code, message: `${entity}.${relation.fields[0]} has this already`, ...relation }
  }
  // What the server says comes first: the table may have been made by somebody else.
  const columns = columnsOf(violation, table) ?? table.uniqueColumns(violation.constraint ?? '')
  const names = columns === undefined ? undefined : table.namesOf(columns)
  if (names === undefined) return { code, message: `There is already ${an(entity)} like this`, entity }
  return { code, message: `There is already ${an(names.entity)} with this ${list(names.fields)}`, ...names }
}

function foreignKeyStory(violation: Violation, table: NamedTable | undefined): Story {
  const code = 'SQLA_ERR_FOREIGN_KEY_VIOLATION'
  const { side } = violation
  if (side === undefined) {
    return { code, message: 'What is referred to does not exist, or something still refers to it' }
  }
  const columns = table === undefined ? undefined : foreignKeyColumns(violation, table)
  const names = columns === undefined ? undefined : (table?.relation ?? table?.namesOf(columns))
  const target = columns === undefined ? undefined : table?.targetOf(columns)?.className
  if (side === 'missing') {
    if (names === undefined) {
      return { code, message: 'What is referred to does not exist', entity: table?.entity }
    }
    const what = target === undefined ? 'nothing' : `no ${target}`
    return { code, message: `${list(names.fields)}: there is ${what} with this key`, ...names }
  }
  if (target === undefined) return { code, message: 'Something still refers to this' }
  const by =
    names === undefined ? (table?.entity ?? '') : names.fields.map(field => `${names.entity}.${field}`)
  return { code, message: `This ${target} is still referred to by ${list([by].flat())}`, entity: target }
}

/** The columns of the foreign key on the side that refers. */
function foreignKeyColumns(violation: Violation, table: NamedTable): readonly string[] | undefined {
  const byName = table.foreignKey(violation.constraint ?? '')
  if (byName !== undefined) return byName.columnNames
  // What PostgreSQL says of a row that is still referred to are the columns of that row.
  return violation.side === 'missing' ? violation.columns : undefined
}

function checkStory(violation: Violation, table: NamedTable | undefined): Story {
  const code = 'SQLA_ERR_CHECK_VIOLATION'
  if (table === undefined) return { code, message: 'These values are not allowed' }
  const names = table.namesOf(checkedColumns(violation, table))
  if (names === undefined) {
    return { code, message: `${An(table.entity)} with these values is not allowed`, entity: table.entity }
  }
  const isOne = names.fields.length === 1
  const message = `${list(names.fields)} of ${names.entity}: ${isOne ? 'this value is' : 'these values are'} not allowed`
  return { code, message, ...names }
}

/** The column that a check stands on, or those that its text names. */
function checkedColumns({ constraint = '' }: Violation, table: NamedTable): string[] {
  const check = table.check(constraint)
  if (check?.columnName !== undefined) return [check.columnName]
  if (typeof check?.expression !== 'string') return []
  const words = check.expression.replaceAll(/'(?:[^']|'')*'/g, '').match(/[\p{L}_][\p{L}\p{N}_$]*(?!\s*\()/gu)
  return [...new Set(words ?? [])].filter(word => table.hasColumn(word))
}

function notNullStory(violation: Violation, table: NamedTable | undefined): Story {
  const code = 'SQLA_ERR_NOT_NULL_VIOLATION'
  const names = table?.namesOf(columnsOf(violation, table) ?? [])
  if (names !== undefined) {
    return { code, message: `${list(names.fields)} of ${names.entity} is required`, ...names }
  }
  return table === undefined
    ? { code, message: 'A required value is missing' }
    : { code, message: `A required value of ${table.entity} is missing`, entity: table.entity }
}

function valueStory(violation: Violation, table: NamedTable | undefined): Story {
  const code = 'SQLA_ERR_INVALID_VALUE'
  const names = table?.namesOf(violation.columns ?? [])
  return names === undefined
    ? { code, message: `A value is ${violation.reason}` }
    : { code, message: `${list(names.fields)} of ${names.entity} is ${violation.reason}`, ...names }
}

/** MikroORM refuses by itself what it can see; its messages print whole entities. */
function ormStory(error: ValidationError, names: DatabaseNames | undefined): Story | undefined {
  const { message } = error
  if (error instanceof NotFoundError) return notFoundStory(message, names)
  const required = /^Value for (\S+?)\.(\S+) is required, '/.exec(message)
  if (required !== null) {
    const found = names?.property(required[1] ?? '', required[2] ?? '')
    const code = 'SQLA_ERR_NOT_NULL_VIOLATION'
    return found === undefined
      ? { code, message: 'A required value is missing' }
      : { code, message: `${found.fields[0]} of ${found.entity} is required`, ...found }
  }
  const refused = /^Trying to set (\S+?)\.(\S+) of type '/.exec(message)
  const isUnconvertible = message.startsWith('Could not convert JS value ')
  if (refused === null && !isUnconvertible) return undefined
  const found = refused === null ? undefined : names?.property(refused[1] ?? '', refused[2] ?? '')
  const code = 'SQLA_ERR_INVALID_VALUE'
  return found === undefined
    ? { code, message: 'A value is not valid' }
    : { code, message: `${found.fields[0]} of ${found.entity} is not valid`, ...found }
}

/** `Author not found (1)`, or `({ slug: 'x' })`: the one property is named when it is one, values never. */
function notFoundStory(message: string, names: DatabaseNames | undefined): Story | undefined {
  const code = 'SQLA_ERR_NOT_FOUND'
  const [, entity, where = ''] = /^(\S+) not found \((.*)\)$/s.exec(message) ?? []
  if (entity === undefined) return undefined
  if (!names?.hasEntity(entity)) return { code, message: ['entity', 'key'] }
  if (!where.startsWith('{')) return { code, message: [entity, 'key'], entity }
  const property = /^\{ (\w+): (?:'(?:[^'\\]|\\.)*'|-?[\d.]+n?|true|false|null) \}$/.exec(where)?.[1]
  const found = property === undefined ? undefined : names.property(entity, property)
  return found === undefined
    ? { code, message: [entity, 'condition'], entity }
    : { code, message: [entity, list(found.fields)], ...found }
}

function an(name: string): string {
  return `${/^[aeiou]/i.test(name) ? 'an' : 'a'} ${name}`
}

function An(name: string): string {
  return an(name).replace('a', 'A')
}

function list(names: readonly string[]): string {
  return names.length < 2
    ? (names[0] ?? '')
    : `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`
}
