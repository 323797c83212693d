import {
  BigIntType,
  type EntityData,
  type EntityManager,
  type EntityName,
  type EntityProperty,
  type Platform,
  p,
} from '@mikro-orm/core'
import { SqlitePlatform } from '@mikro-orm/sql'
import type { FastifyRequest } from 'fastify'
import { requestOf } from '../../src/index.ts'
import { uuidv7 } from './uuid.ts'

// Functions, not values: each entity gets builders of its own. Their types are what the builders of MikroORM say, so
// that an entity infers from them what it would infer from the same properties written out.

/** How {@link uuidPrimary} is made. */
export interface UuidPrimaryOptions {
  /**
   * SQL of the column's default, for rows that are inserted by hand: `'uuidv7()'` where every server is PostgreSQL 18
   * or newer, `'gen_random_uuid()'` (version 4) on PostgreSQL before. Default: none.
   */
  readonly default?: string
}

/**
 * The property `id`: a UUID of version 7 that the process makes, so that it is known before the flush, sorts by the
 * time of creation and keeps the inserts of an index together. A value that is given stays.
 *
 * @example
 * ```ts
 * const NoteSchema = defineEntity({ name: 'Note', properties: { ...uuidPrimary(), text: p.text() } })
 * class Note extends NoteSchema.class {}
 * NoteSchema.setClass(Note)
 * ```
 */
export function uuidPrimary(options: UuidPrimaryOptions = {}) {
  const id = p
    .uuid()
    .primary()
    .onCreate(() => uuidv7())
  return { id: options.default === undefined ? id : id.defaultRaw(options.default) }
}

/** What a bigint is in JavaScript; see {@link bigintPrimary}. */
export type BigintMode = 'string' | 'number' | 'bigint'

/** How {@link bigintPrimary} is made. */
export interface BigintPrimaryOptions<Mode extends BigintMode = BigintMode> {
  readonly mode?: Mode
}

/**
 * The property `id`: a number of 64 bits that the database counts up (`bigserial`, `auto_increment`; SQLite's
 * `integer`).
 *
 * @param options `mode`: what the id is in JavaScript. `'string'` (default) is exact, is what a route's parameters
 *   are, and can be answered as JSON. `'number'` is exact up to 2⁵³ − 1. `'bigint'` is exact, but `JSON.stringify`
 *   throws on a bigint: an entity is answered with a string, an object that you build around its id is not.
 *
 * @example
 * ```ts
 * const VisitSchema = defineEntity({ name: 'Visit', properties: { ...bigintPrimary(), page: p.string() } })
 * ```
 */
export function bigintPrimary<Mode extends BigintMode = 'string'>(options: BigintPrimaryOptions<Mode> = {}) {
  const mode = (options.mode ?? 'string') as Mode
  return { id: p.bigint(mode).type(new BigintKeyType(mode)).primary().autoincrement() }
}

/** On SQLite only an `integer` counts up; MikroORM makes it one, and then takes it for a bigint that has changed. */
class BigintKeyType<Mode extends BigintMode> extends BigIntType<Mode> {
  override getColumnType(property: EntityProperty, platform: Platform): string {
    return platform instanceof SqlitePlatform ? 'integer' : super.getColumnType(property, platform)
  }
}

/** Says who writes: the `by` of {@link auditColumns}. */
export type Auditor = (request: FastifyRequest | undefined, em: EntityManager) => string | null | undefined

/** How {@link auditColumns} are made. */
export interface AuditOptions {
  /** Who writes, for `createdBy` and `updatedBy`. `request` is undefined outside requests. */
  readonly by: Auditor
}

/**
 * The properties `createdAt` and `updatedAt`, to the millisecond, which a flush sets: both to the same time when the
 * entity is new, `updatedAt` whenever something of it has changed. With `by` also `createdBy` and `updatedBy`, null
 * when nobody is known. A repository's upserts set them, too. What else goes past the flush writes what it is told and
 * no more: MikroORM's `insertMany`, `nativeUpdate`, `upsert` and QueryBuilder. See {@link valuesOnUpdate}.
 *
 * @param options `by`: who writes
 *
 * @example
 * ```ts
 * const properties = {
 *   ...uuidPrimary(),
 *   text: p.text(),
 *   ...auditColumns({ by: request => request?.headers['x-user']?.toString() }),
 * }
 * ```
 */
export function auditColumns(): TimeColumns
export function auditColumns(options: AuditOptions): TimeColumns & AuthorColumns
export function auditColumns(options?: AuditOptions): TimeColumns & Partial<AuthorColumns> {
  return { ...timeColumns(), ...(options && authorColumns(options.by)) }
}

type TimeColumns = ReturnType<typeof timeColumns>
type AuthorColumns = ReturnType<typeof authorColumns>

function timeColumns() {
  // Milliseconds are what a Date has: what is stored is what the entity says.
  return {
    // An upsert says when a row was changed, and the row may be new.
    createdAt: p
      .datetime(3)
      .onCreate((entity: { updatedAt?: Date } | undefined) => entity?.updatedAt ?? new Date()),
    updatedAt: p
      .datetime(3)
      .onCreate((entity: { createdAt?: Date } | undefined) => entity?.createdAt ?? new Date())
      .onUpdate(() => new Date()),
  }
}

function authorColumns(by: Auditor) {
  // Null, not undefined: nobody known has written this, whoever wrote it before. (MikroORM's type knows no null here.)
  const author = (_entity: unknown, em: EntityManager) => (by(requestOf(em), em) ?? null) as string
  return {
    createdBy: p.string().nullable().onCreate(author),
    updatedBy: p.string().nullable().onCreate(author).onUpdate(author),
  }
}

/**
 * What the columns of an entity that set themselves on an update are set to now, for statements that MikroORM leaves
 * as they are.
 *
 * @example
 * ```ts
 * await em.nativeUpdate(Note, { done: false }, { done: true, ...valuesOnUpdate(em, Note) })
 * ```
 */
export function valuesOnUpdate<T extends object>(em: EntityManager, entity: EntityName<T>): EntityData<T> {
  const values: Record<string, unknown> = {}
  for (const property of em.getMetadata().get(entity).props) {
    if (property.onUpdate) values[property.name] = property.onUpdate({} as T, em)
  }
  return values as EntityData<T>
}
