import { createHash } from 'node:crypto'
import type { SqlEm } from '../../src/index.ts'
import { errors } from './errors.ts'

/** Names of the tables, where they are not to be made of `name`. */
export interface EventTableNames {
  /** Default: `name` and `_events`. */
  readonly events?: string
  /** Default: `name` and `_snapshots`. */
  readonly snapshots?: string
  /** Default: `name` and `_tracking`. */
  readonly tracking?: string
}

/** Where the tables are. */
export interface EventTablesOptions {
  /** What the names of the tables begin with. Default `'stored'`: `stored_events`, `stored_snapshots`, `stored_tracking`. */
  readonly name?: string
  readonly tables?: EventTableNames
  /** The schema of the tables. Default: that of the connection. */
  readonly schema?: string
}

/**
 * In which order notifications are numbered.
 *
 * - `'watermark'`: by a sequence, so that writers never wait for each other. There may be gaps, and a commit may bring
 *   a smaller number than the one before; readers wait until nothing smaller can come. PostgreSQL only.
 * - `'strict'`: without gaps, in the order of the commits. Numbers are given at COMMIT, one transaction after the other.
 */
export type Ordering = 'watermark' | 'strict'

/** A table, checked and quoted. */
export interface EventTable {
  /** Without quotes and schema. */
  readonly name: string
  /** As it is written in SQL. */
  readonly sql: string
}

/** The tables of one log. */
export interface EventTables {
  readonly schema: string | undefined
  readonly events: EventTable
  readonly snapshots: EventTable
  readonly tracking: EventTable
  /** What a commit of events notifies. */
  readonly channel: string
}

/** What indexes, sequences and channels are named after needs room for what they add. */
const LONGEST_NAME = 44
/** Of a PostgreSQL identifier, in bytes. */
const LONGEST_IDENTIFIER = 63

/** @throws SQLA_ERR_EVENTS_STORAGE when a name cannot be one */
export function eventTables(em: SqlEm, options: EventTablesOptions = {}): EventTables {
  const { name = 'stored', tables = {}, schema } = options
  const quote = (identifier: string) => em.getPlatform().quoteIdentifier(checked(identifier)).toString()
  const prefix = schema === undefined ? '' : `${quote(schema)}.`
  const table = (tableName: string): EventTable => ({
    name: checked(tableName),
    sql: `${prefix}${quote(tableName)}`,
  })
  const events = table(tables.events ?? `${name}_events`)
  const snapshots = table(tables.snapshots ?? `${name}_snapshots`)
  const tracking = table(tables.tracking ?? `${name}_tracking`)
  if (new Set([events.name, snapshots.name, tracking.name]).size < 3) {
    throw new errors.SQLA_ERR_EVENTS_STORAGE('two of its tables have the same name')
  }
  return { schema, events, snapshots, tracking, channel: channelOf(schema, events.name) }
}

function channelOf(schema: string | undefined, name: string): string {
  const channel = `sqlassist_${schema === undefined ? '' : `${schema}_`}${name}`
  if (Buffer.byteLength(channel) <= LONGEST_IDENTIFIER) return channel
  // pg_notify refuses what is too long, and two that begin in the same way are not the same.
  return `sqlassist_${createHash('sha256').update(channel).digest('hex').slice(0, 40)}`
}

function checked(name: unknown): string {
  // A question mark is a parameter of em.execute, and MikroORM takes what is before a dot for a schema; names are also
  // written inside of texts and functions.
  if (typeof name === 'string' && /^[^?."'`$\\\0]+$/.test(name) && Buffer.byteLength(name) <= LONGEST_NAME)
    return name
  throw new errors.SQLA_ERR_EVENTS_STORAGE(
    `'${name}' cannot be the name of a table or schema: it must have 1 to ${LONGEST_NAME} bytes, without dots, quotes, dollars, backslashes and question marks`,
  )
}
