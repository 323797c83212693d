import { createHash } from 'node:crypto'
import {
  type EntityMetadata,
  type MetadataStorage,
  type Platform,
  ReferenceKind,
  UnderscoreNamingStrategy,
} from '@mikro-orm/core'
import { errors } from '../../src/index.ts'

type ConstraintKind = Parameters<UnderscoreNamingStrategy['indexName']>[2]

/** PostgreSQL's limit in bytes. MySQL and MariaDB allow 64 characters; a name is the same on every database. */
const LONGEST = 63

const PREFIXES: Partial<Record<ConstraintKind, string>> = {
  primary: 'pk',
  foreign: 'fk',
  unique: 'uq',
  index: 'ix',
  check: 'ck',
}

/**
 * Names constraints and indexes as pyramid_sqlassist and Alembic's documentation do ("The Importance of Naming
 * Constraints"), so that a migration can name what it drops on every database:
 *
 * | | |
 * |---|---|
 * | primary key | `pk_<table>` (PostgreSQL; MySQL and MariaDB call every one `PRIMARY`, SQLite's has no name) |
 * | foreign key | `fk_<table>_<columns>_<referred table>`, which needs {@link nameConstraints} |
 * | unique | `uq_<table>_<columns>` |
 * | index | `ix_<table>_<columns>` |
 * | check | `ck_<table>_<column>`, or `ck_<table>_<name>`, which needs {@link nameConstraints} |
 *
 * All columns are in the name, where SQLAlchemy's convention takes the first: two uniques that begin with the same
 * column need two names. A name of more than 63 bytes is cut and ends with a hash of the whole of it. A name that an
 * entity gives to an index, a unique or a foreign key stays. Tables and columns are named as
 * UnderscoreNamingStrategy, MikroORM's default, names them.
 *
 * @example
 * ```ts
 * defineConfig({
 *   namingStrategy: SqlAssistNamingStrategy,
 *   discovery: { afterDiscovered: nameConstraints },
 * })
 * ```
 */
export class SqlAssistNamingStrategy extends UnderscoreNamingStrategy {
  /** Table and columns of a foreign key → the table that it refers to. */
  readonly #referred = new Map<string, string>()

  override indexName(tableName: string, columns: string[], type: ConstraintKind): string {
    const prefix = PREFIXES[type]
    if (prefix === undefined) return super.indexName(tableName, columns, type)
    if (type === 'primary') return constraintName(prefix, tableName)
    const referred = type === 'foreign' ? this.#referred.get(keyOf(tableName, columns)) : undefined
    return constraintName(prefix, tableName, ...columns, ...(referred === undefined ? [] : [referred]))
  }

  /** Tells the strategy which table a foreign key refers to; see {@link nameConstraints}. */
  learnForeignKey(tableName: string, columns: readonly string[], referredTable: string): void {
    this.#referred.set(keyOf(tableName, columns), withoutSchema(referredTable))
  }
}

/**
 * The part of the convention that a naming strategy of MikroORM cannot do by itself, because it is told neither the
 * table that a foreign key refers to nor the name of a check: give it as `discovery.afterDiscovered` in MikroORM's
 * configuration. It tells the strategy what the foreign keys refer to, puts `ck_<table>_` before the names of checks,
 * and tells apart checks of one table that have no name.
 *
 * @param storage the metadata of all entities, as MikroORM gives it
 * @param platform the platform, as MikroORM gives it
 * @throws SQLA_ERR_INVALID_OPTION the naming strategy is another one
 */
export function nameConstraints(storage: MetadataStorage, platform: Platform): void {
  const strategy = platform.getConfig().getNamingStrategy()
  if (!(strategy instanceof SqlAssistNamingStrategy)) {
    throw new errors.SQLA_ERR_INVALID_OPTION(
      'discovery.afterDiscovered',
      'is nameConstraints, which needs namingStrategy: SqlAssistNamingStrategy',
    )
  }
  for (const meta of storage) {
    if (meta.embeddable || meta.tableName === undefined) continue
    learnForeignKeys(strategy, meta)
    nameChecks(meta)
  }
}

function learnForeignKeys(strategy: SqlAssistNamingStrategy, meta: EntityMetadata): void {
  for (const { kind, fieldNames, referencedTableName } of meta.props) {
    const isToOne = kind === ReferenceKind.MANY_TO_ONE || kind === ReferenceKind.ONE_TO_ONE
    if (!isToOne || fieldNames === undefined || referencedTableName === undefined) continue
    strategy.learnForeignKey(meta.tableName, fieldNames, referencedTableName)
  }
  if (meta.tptParent === undefined) return
  // A table per type: the key of the child's table refers to the parent's.
  const columns = meta.getPrimaryProps().flatMap(property => property.fieldNames)
  strategy.learnForeignKey(meta.tableName, columns, meta.tptParent.tableName)
}

function nameChecks(meta: EntityMetadata): void {
  const taken = new Set<string>()
  for (const check of meta.checks) {
    const given = check.name ?? ''
    const name = given.startsWith('ck_') ? given : constraintName('ck', meta.tableName, given)
    // Unnamed checks of a table have the same name, which PostgreSQL refuses and SQLite takes for a change for ever.
    check.name = taken.has(name) ? cut(`${name}_${hash(String(check.expression))}`) : name
    taken.add(check.name)
  }
}

function constraintName(prefix: string, table: string, ...parts: readonly string[]): string {
  return cut([prefix, withoutSchema(table), ...parts].join('_').replaceAll('.', '_'))
}

function cut(name: string): string {
  if (Buffer.byteLength(name) <= LONGEST) return name
  const suffix = `_${hash(name)}`
  let kept = ''
  for (const character of name) {
    if (Buffer.byteLength(kept + character) + suffix.length > LONGEST) break
    kept += character
  }
  return kept + suffix
}

/** Eight hexadecimal digits. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

function keyOf(table: string, columns: readonly string[]): string {
  return [withoutSchema(table), ...columns].join('\0')
}

function withoutSchema(table: string): string {
  return table.slice(table.lastIndexOf('.') + 1)
}
