import type { Engine } from '../../src/index.ts'
import { errors } from './errors.ts'
import { PostgresDialect } from './postgres-dialect.ts'

/** Names of the tables; what is left out has its default. */
export interface SegmentTableNames {
  /** Who there is. Default `'identities'`. */
  readonly identities?: string
  /** The segments that were saved. Default `'segments'`. */
  readonly segments?: string
  /** Who is in the segments that are materialised. Default `'segment_members'`. */
  readonly members?: string
}

/** Where the tables are. */
export interface SegmentTablesOptions {
  readonly tables?: SegmentTableNames
  /** The schema of the tables. Default: that of the connection. */
  readonly schema?: string
}

/** The tables, as they are written in SQL. */
export interface SegmentTables {
  readonly identities: string
  readonly segments: string
  readonly members: string
  /** Of the identities, without quotes and schema. */
  readonly identitiesName: string
  /** What a commit that changes saved segments notifies, and what the locks are named after. */
  readonly channel: string
  /** Creates what is missing of the tables. */
  readonly statements: readonly string[]
}

/** @throws SQLA_ERR_SEGMENT_STORAGE when a name cannot be one */
export function segmentTables({ tables = {}, schema }: SegmentTablesOptions = {}): SegmentTables {
  const names = { identities: 'identities', segments: 'segments', members: 'segment_members', ...tables }
  const sqlOf = (name: string) => (schema === undefined ? quoted(name) : `${quoted(schema)}.${quoted(name)}`)
  const identities = sqlOf(names.identities)
  const segments = sqlOf(names.segments)
  const members = sqlOf(names.members)
  if (new Set([identities, segments, members]).size < 3) {
    throw new errors.SQLA_ERR_SEGMENT_STORAGE('two of its tables have the same name')
  }
  return {
    identities,
    segments,
    members,
    identitiesName: names.identities,
    channel: `sqlassist_${schema === undefined ? '' : `${schema}_`}${names.segments}`.slice(0, 63),
    statements: [
      // The dialect knows a table by a bare name only.
      new PostgresDialect().schemaDdl.replace('identities', () => identities),
      `create table if not exists ${segments} (environment_id text not null, key text not null, name text not null, data jsonb not null, version integer not null, materialised boolean not null default false, primary key (environment_id, key))`,
      `create table if not exists ${members} (environment_id text not null, segment_key text not null, identity_id bigint not null, primary key (environment_id, segment_key, identity_id))`,
    ],
  }
}

/**
 * The statements that create the tables, for a migration.
 *
 * @param options the same as the plugin's
 * @throws SQLA_ERR_SEGMENT_STORAGE when a name cannot be one
 *
 * @example
 * ```ts
 * export class Segments extends Migration {
 *   override up(): void {
 *     for (const statement of segmentTableStatements()) this.addSql(statement)
 *   }
 * }
 * ```
 */
export function segmentTableStatements(options: SegmentTablesOptions = {}): string[] {
  return [...segmentTables(options).statements]
}

/** @throws SQLA_ERR_SEGMENT_STORAGE unless the engine is one on PostgreSQL */
export function assertPostgres(engine: Engine): void {
  if (engine.dialect === 'postgresql') return
  throw new errors.SQLA_ERR_SEGMENT_STORAGE(`engine '${engine.name}' is not on PostgreSQL`)
}

function quoted(name: unknown): string {
  // A question mark is a parameter; what makes a channel or an index of the name needs room for it.
  if (typeof name === 'string' && /^[^?"\\\0]{1,52}$/.test(name)) return `"${name}"`
  throw new errors.SQLA_ERR_SEGMENT_STORAGE(
    `'${name}' cannot be the name of a table or schema: it must have 1 to 52 characters, without quotes, backslashes and question marks`,
  )
}
