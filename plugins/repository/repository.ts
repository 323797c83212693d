import type {
  AutoPath,
  EntityData,
  EntityKey,
  EntityMetadata,
  EntityName,
  Loaded,
  LockMode,
  ObjectQuery,
  Primary,
  RequiredEntityData,
} from '@mikro-orm/core'
import type { Engine, SqlEm } from '../../src/index.ts'
import { type Call, callOn, findRows, queryOf } from './call.ts'
import { toClientError } from './constraint-errors.ts'
import { deleteRow, deleteRows, deleteRowsWhere } from './deleting.ts'
import { errors } from './errors.ts'
import type { FieldsOf } from './fields.ts'
import type { Arrangement, Condition, Filter } from './filters.ts'
import { notFound } from './keys.ts'
import { type KeysetRequest, keysetPage } from './keyset.ts'
import { countRows, isAnyRow, listAndCountRows } from './listing.ts'
import { type LockOptions, lockMode, lockRefusal } from './lock.ts'
import type { CursorPage } from './pages.ts'
import {
  addRow,
  addRows,
  addRowsForKeys,
  getAndUpdateRow,
  getOrUpsertRow,
  getRow,
  updateRow,
  updateRows,
} from './saving.ts'
import { upsertRows } from './upserting.ts'

export type { LockOptions }

/** How a repository behaves. */
export interface RepositoryOptions {
  /**
   * What is thrown when the database refuses: `'coded'` (default) errors with a status and the name of the field, or
   * what MikroORM throws (`'driver'`).
   */
  readonly errors?: 'coded' | 'driver'
  /** How `listAndCount` counts: in the same statement with a window function (default), or with a second one. */
  readonly count?: 'window' | 'separate'
}

/** A filter on fields of `T`, or a condition of MikroORM. */
export type FilterFor<T> = Filter<FieldsOf<T>> | ObjectQuery<T>
/** A condition on fields of `T`, ours or MikroORM's. */
export type ConditionFor<T> = Condition<FieldsOf<T>> | ObjectQuery<T>
/** What `cursorPage` is asked for. */
export interface CursorRequest<T> {
  readonly limit: number
  readonly cursor?: string | null | undefined
  readonly orderBy?: readonly Arrangement<FieldsOf<T>>[]
}

/** Data of a row that says which one it is. */
export type DataOf<T> = EntityData<T>

/** The fields that say which row is meant. */
export interface MatchBy<T> {
  /** Default the primary key. */
  readonly matchFields?: readonly EntityKey<T>[] | undefined
}

/**
 * The rows of one entity, as a collection: on a session everything happens in its transaction, and what is written is
 * flushed, so that ids are there and the database has had its say. On an engine every call is a transaction of its
 * own. On an EntityManager without a transaction a call that takes several statements begins one.
 *
 * When a call fails inside a transaction, that transaction is to be rolled back (PostgreSQL insists); to try something
 * and go on, put it in a nested `em.transactional`.
 *
 * Every method throws SQLA_ERR_UNKNOWN_FIELD (400) for a name that is no field of the entity, SQLA_ERR_INVALID_FILTER
 * (400) for a value that a field cannot have, and, unless `errors` is `'driver'`, what the database refuses as
 * {@link toClientError} says it: SQLA_ERR_UNIQUE_VIOLATION (409), SQLA_ERR_FOREIGN_KEY_VIOLATION (409),
 * SQLA_ERR_CHECK_VIOLATION (422), SQLA_ERR_NOT_NULL_VIOLATION (422), SQLA_ERR_INVALID_VALUE (422). Of each method, only
 * what else it throws is said.
 *
 * @typeParam T the entity
 * @typeParam Hint the relations that `load` has asked for
 *
 * @example
 * ```ts
 * const authors = new Repository(Author, request.db.writer)
 * const ada = await authors.add({ name: 'Ada' })
 * const [page, total] = await authors.listAndCount(search('name', 'a'), orderBy('name'), limitOffset(20))
 * ```
 */
export class Repository<T extends object, Hint extends string = never> {
  readonly entity: EntityName<T>
  readonly #on: SqlEm | Engine
  readonly #options: RepositoryOptions
  #populate: readonly string[] = []
  #lock: LockMode | undefined

  /**
   * @param entity its class or schema
   * @param on a session (`request.db.writer`), any EntityManager, or an engine (`app.sqlAssist.engines.get('writer')`)
   * @param options how it behaves
   */
  constructor(entity: EntityName<T>, on: SqlEm | Engine, options: RepositoryOptions = {}) {
    this.entity = entity
    this.#on = on
    this.#options = options
  }

  /**
   * The same repository, whose reads bring relations along.
   *
   * @param relations their names, or dotted paths
   * @returns another repository; this one stays as it is
   *
   * @example
   * ```ts
   * const note = await notes.load('author', 'tags').get(1)
   * note.author.$.name
   * ```
   */
  load<const H extends string>(...relations: AutoPath<T, H>[]): Repository<T, Hint | H> {
    return this.#with<Hint | H>({
      populate: [...this.#populate, ...(relations as string[])],
      lock: this.#lock,
    })
  }

  /**
   * The same repository, whose reads lock their rows until the session's transaction ends. SQLite has no such locks
   * and needs none: one transaction at a time writes.
   *
   * @returns another repository; this one stays as it is. Its reads throw SQLA_ERR_ROW_LOCKED (409) when they are not to
   *   wait for a row that somebody else has locked
   *
   * @example
   * ```ts
   * const account = await accounts.forUpdate().get(id) // select … for update
   * const job = await jobs.forUpdate({ locked: 'skip' }).getOneOrNull({ state: 'waiting' }, limitOffset(1))
   * ```
   */
  forUpdate(options: LockOptions = {}): Repository<T, Hint> {
    return this.#with<Hint>({ populate: this.#populate, lock: lockMode(options) })
  }

  /**
   * Saves a new row.
   *
   * @param data of the row, or its entity
   * @returns its entity, with what the database has filled in
   *
   * @example
   * ```ts
   * const ada = await authors.add({ name: 'Ada' }) // insert into "author" ("name") values ('Ada') returning "id"
   * ```
   */
  add(data: RequiredEntityData<T> | T): Promise<T> {
    return this.#call(call => addRow(call, data))
  }

  /**
   * Saves many new rows. On PostgreSQL plain data of an entity without hooks takes one statement per 5,000 rows, with
   * one bound value; all else takes MikroORM's unit of work.
   *
   * @param data of the rows, or their entities
   * @param options `returning`: `'entities'` (default), or `'keys'`, which takes half the time for many rows: entities
   *   must be made, and looked at by every later flush
   * @returns their entities or keys, in the order of the data; generated keys have that order, too
   *
   * @example
   * ```ts
   * const all = await notes.addMany(lines.map(title => ({ title, author: ada.id })))
   * const ids = await notes.addMany(millions, { returning: 'keys' })
   * ```
   */
  addMany(
    data: readonly (RequiredEntityData<T> | T)[],
    options?: { readonly returning?: 'entities' },
  ): Promise<T[]>
  addMany(
    data: readonly (RequiredEntityData<T> | T)[],
    options: { readonly returning: 'keys' },
  ): Promise<Primary<T>[]>
  addMany(
    data: readonly (RequiredEntityData<T> | T)[],
    { returning = 'entities' }: { readonly returning?: 'entities' | 'keys' } = {},
  ): Promise<T[] | Primary<T>[]> {
    return this.#call<T[] | Primary<T>[]>(call =>
      returning === 'keys' ? addRowsForKeys(call, data) : addRows(call, data),
    )
  }

  /**
   * The row with this primary key.
   *
   * @param key its value; of a composite one the values in order
   * @throws SQLA_ERR_NOT_FOUND (404)
   *
   * @example
   * ```ts
   * await seats.get([row, place])
   * ```
   */
  get(key: Primary<T>): Promise<Loaded<T, Hint>> {
    return this.#call(call => getRow(call, key)) as Promise<Loaded<T, Hint>>
  }

  /**
   * The only row that the filters leave. With `limitOffset(1)` among them it is the first.
   *
   * @throws SQLA_ERR_NOT_FOUND (404), SQLA_ERR_SEVERAL_FOUND (500)
   *
   * @example
   * ```ts
   * await authors.getOne(comparison('email', 'eq', email))
   * ```
   */
  getOne(...filters: FilterFor<T>[]): Promise<Loaded<T, Hint>> {
    return this.#call(async call => {
      const found = await getOneOrNull(call, filters)
      if (found === null) throw notFound(call.meta, [])
      return found
    }) as Promise<Loaded<T, Hint>>
  }

  /** As {@link getOne}, but null when there is none. @throws SQLA_ERR_SEVERAL_FOUND (500) */
  getOneOrNull(...filters: FilterFor<T>[]): Promise<Loaded<T, Hint> | null> {
    return this.#call(call => getOneOrNull(call, filters)) as Promise<Loaded<T, Hint> | null>
  }

  /**
   * The row that matches, or a new one. Of callers at once with the same unique fields one creates the row, and the
   * others get it; PostgreSQL lets them only in READ COMMITTED, its default: in stricter isolation their transaction
   * fails, as it would on any such conflict.
   *
   * @param data of the new row; what it is matched by included
   * @param options `matchFields`: the fields of a unique constraint, default the primary key. `update` (default true):
   *   whether a row that was found takes over the rest of the data
   * @returns the entity, and whether it was created
   *
   * @example
   * ```ts
   * const [tag, created] = await tags.getOrUpsert({ name: 'work' }, { matchFields: ['name'] })
   * ```
   */
  getOrUpsert(
    data: RequiredEntityData<T>,
    options: MatchBy<T> & { readonly update?: boolean | undefined } = {},
  ): Promise<[entity: Loaded<T, Hint>, created: boolean]> {
    return this.#call(call => getOrUpsertRow(call, data, options)) as Promise<[Loaded<T, Hint>, boolean]>
  }

  /**
   * The row that matches, with the rest of the data.
   *
   * @param data what changes; what it is matched by included
   * @param options `matchFields`: default the primary key. Of several rows that match, any is taken
   * @returns the entity, and whether anything about it was different
   * @throws SQLA_ERR_NOT_FOUND (404)
   *
   * @example
   * ```ts
   * const [author, updated] = await authors.getAndUpdate({ email, name: 'Ada' }, { matchFields: ['email'] })
   * ```
   */
  getAndUpdate(
    data: DataOf<T>,
    options: MatchBy<T> = {},
  ): Promise<[entity: Loaded<T, Hint>, updated: boolean]> {
    return this.#call(call => getAndUpdateRow(call, data, options)) as Promise<[Loaded<T, Hint>, boolean]>
  }

  /**
   * The rows that the filters leave. Pages have an order that is never a matter of chance: the primary key completes it.
   *
   * @example
   * ```ts
   * await notes.list(exists('tags', comparison('name', 'eq', 'work')), orderBy('createdAt', 'desc'), limitOffset(20))
   * ```
   */
  list(...filters: FilterFor<T>[]): Promise<Loaded<T, Hint>[]> {
    return this.#call(call => findRows(call, queryOf(call, filters))) as Promise<Loaded<T, Hint>[]>
  }

  /**
   * A page, and how many rows there are on all pages. One statement, where the entity allows it and the page is not
   * empty; see {@link RepositoryOptions.count}.
   *
   * @example
   * ```ts
   * const [items, total] = await notes.listAndCount(orderBy('title'), limitOffset(20, 40))
   * // select "n0".*, count(*) over () … order by "n0"."title" asc, "n0"."id" asc limit 20 offset 40
   * ```
   */
  listAndCount(...filters: FilterFor<T>[]): Promise<[items: Loaded<T, Hint>[], total: number]> {
    return this.#call(call => listAndCountRows(call, filters, this.#options.count)) as Promise<
      [Loaded<T, Hint>[], number]
    >
  }

  /**
   * A page of a list that goes on from a row: stable while rows are inserted and deleted, and as quick on the
   * hundredth page as on the first. The primary key completes the order.
   *
   * @param page `limit`: how many rows at most. `cursor`: `next` or `previous` of another page of the same order; none:
   *   the first page. `orderBy`: fields in columns of the row itself
   * @throws SQLA_ERR_INVALID_CURSOR (400), SQLA_ERR_INVALID_FILTER (400), SQLA_ERR_UNKNOWN_FIELD (400)
   *
   * @example
   * ```ts
   * const first = await notes.cursorPage({ limit: 20, orderBy: [orderBy('createdAt', 'desc')] })
   * const second = await notes.cursorPage({ limit: 20, orderBy: [orderBy('createdAt', 'desc')], cursor: first.next })
   * ```
   */
  cursorPage(page: CursorRequest<T>, ...conditions: ConditionFor<T>[]): Promise<CursorPage<Loaded<T, Hint>>> {
    return this.#call(call => {
      const list = (filters: readonly object[]) => findRows(call, queryOf(call, filters))
      return keysetPage<T>(call.em, call.meta, page as KeysetRequest, list, conditions)
    }) as Promise<CursorPage<Loaded<T, Hint>>>
  }

  /** How many rows the filters leave; orders and pages do not matter. */
  count(...filters: FilterFor<T>[]): Promise<number> {
    return this.#call(call => countRows(call, filters))
  }

  /** Whether the filters leave any row. */
  exists(...filters: FilterFor<T>[]): Promise<boolean> {
    return this.#call(call => isAnyRow(call, filters))
  }

  /**
   * Changes one row.
   *
   * @param key see {@link get}
   * @param data what changes
   * @returns the entity
   * @throws SQLA_ERR_NOT_FOUND (404)
   *
   * @example
   * ```ts
   * await authors.update(7, { name: 'Ada' })
   * ```
   */
  update(key: Primary<T>, data: DataOf<T>): Promise<Loaded<T, Hint>> {
    return this.#call(call => updateRow(call, key, data)) as Promise<Loaded<T, Hint>>
  }

  /**
   * Changes many rows, each in its own way.
   *
   * @param data per row its primary key and what changes
   * @returns the entities, in the order of the data
   * @throws SQLA_ERR_NOT_FOUND (404) one of them is not there; nothing was changed
   *
   * @example
   * ```ts
   * await notes.updateMany([{ id: 1, pinned: true }, { id: 2, title: 'new' }])
   * ```
   */
  updateMany(data: readonly DataOf<T>[]): Promise<Loaded<T, Hint>[]> {
    return this.#call(call => updateRows(call, data as readonly object[])) as Promise<Loaded<T, Hint>[]>
  }

  /**
   * Inserts the row, or updates the one that it conflicts with, in one statement: the dialect's own
   * `ON CONFLICT … DO UPDATE` or `ON DUPLICATE KEY UPDATE`. Hooks of the entity other than `beforeUpsert` and
   * `afterUpsert` are not called.
   *
   * @param options `matchFields`: the fields of a unique constraint; default the primary key
   * @returns the entity
   *
   * @example
   * ```ts
   * await tags.upsert({ name: 'work', color: 'red' }, { matchFields: ['name'] })
   * ```
   */
  upsert(data: RequiredEntityData<T>, options: MatchBy<T> = {}): Promise<T> {
    return this.#call(async call => (await upsertRows(call, [data], options))[0] as T)
  }

  /**
   * As {@link upsert}, many rows, in chunks.
   *
   * @returns the entities, in the order of the data
   * @throws SQLA_ERR_INVALID_FILTER (400) two rows of the data match the same row: which of them should win?
   */
  upsertMany(data: readonly RequiredEntityData<T>[], options: MatchBy<T> = {}): Promise<T[]> {
    return this.#call(call => upsertRows(call, data, options))
  }

  /**
   * Deletes one row.
   *
   * @param key see {@link get}
   * @returns the entity, which is no longer in the database
   * @throws SQLA_ERR_NOT_FOUND (404)
   */
  delete(key: Primary<T>): Promise<Loaded<T, Hint>> {
    return this.#call(call => deleteRow(call, key)) as Promise<Loaded<T, Hint>>
  }

  /**
   * Deletes rows by their keys, in chunks; keys that are not there are passed over. Entities with hooks on deletion, or
   * relations that MikroORM removes along, are loaded first.
   *
   * @returns how many there were
   */
  deleteMany(keys: readonly Primary<T>[]): Promise<number> {
    return this.#call(call => deleteRows(call, keys))
  }

  /**
   * Deletes what satisfies all conditions, in one statement where nothing hangs on the rows; see {@link deleteMany}.
   * (Entities that the session has loaded of them stay in its identity map.)
   *
   * @returns how many there were
   * @throws SQLA_ERR_INVALID_FILTER (400) the conditions restrict nothing, so that every row would go
   *
   * @example
   * ```ts
   * await notes.deleteWhere(beforeAfter('createdAt', { before: lastYear }), comparison('pinned', 'eq', false))
   * ```
   */
  deleteWhere(first: ConditionFor<T>, ...rest: ConditionFor<T>[]): Promise<number> {
    return this.#call(call => deleteRowsWhere(call, [first, ...rest]))
  }

  async #call<R>(fn: (call: Call<T>) => Promise<R>): Promise<R> {
    const { entity } = this
    let used: SqlEm | undefined
    try {
      return await callOn(this.#on, em => {
        used = em
        const meta = em.getMetadata().get(entity) as EntityMetadata
        return fn({ em, entity, meta, populate: this.#populate, lock: this.#lock })
      })
    } catch (error) {
      if (this.#options.errors === 'driver' || used === undefined) throw error
      const meta = used.getMetadata().get(entity) as EntityMetadata
      throw lockRefusal(error, this.#lock, meta) ?? toClientError(error, used)
    }
  }

  #with<H extends string>(state: {
    readonly populate: readonly string[]
    readonly lock: LockMode | undefined
  }): Repository<T, H> {
    const other = new Repository<T, H>(this.entity, this.#on, this.#options)
    other.#populate = state.populate
    other.#lock = state.lock
    return other
  }
}

async function getOneOrNull<T extends object>(call: Call<T>, filters: readonly object[]): Promise<T | null> {
  const query = queryOf(call, filters)
  // The second row is only asked for to find out that there is one.
  const found = await findRows(call, { ...query, limit: query.limit ?? 2 })
  if (found.length > 1) throw new errors.SQLA_ERR_SEVERAL_FOUND(call.meta.className, 'condition')
  return found[0] ?? null
}
