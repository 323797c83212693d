import type { EntityMetadata, EntityName, LockMode } from '@mikro-orm/core'
import type { Engine, SqlEm } from '../../src/index.ts'
import { compileQuery, type Given, type Query } from './query.ts'

/** What one call of a repository works with. */
export interface Call<T extends object> {
  readonly em: SqlEm
  readonly entity: EntityName<T>
  readonly meta: EntityMetadata
  /** The relations that its reads bring along. */
  readonly populate: readonly string[]
  readonly lock: LockMode | undefined
}

/** The EntityManager of a call: on a session the session, on an engine one of its own, in a transaction of its own. */
export async function callOn<R>(on: SqlEm | Engine, fn: (em: SqlEm) => Promise<R>): Promise<R> {
  if ('getConnection' in on) return fn(on)
  const em = on.orm.em.fork()
  const { isolationLevel } = on.options
  await em.begin(isolationLevel === undefined ? {} : { isolationLevel: isolationLevel as never })
  try {
    const result = await fn(em)
    await em.commit()
    return result
  } catch (error) {
    // Why it failed matters more than that there is no connection left to say ROLLBACK on.
    await em.rollback().catch(() => {})
    throw error
  }
}

/** For several statements that are to happen all or not at all. In a transaction that is up to who began it. */
export function allOrNothing<R>(em: SqlEm, fn: (em: SqlEm) => Promise<R>): Promise<R> {
  return em.isInTransaction() ? fn(em) : em.transactional(fn as (inner: SqlEm) => Promise<R>)
}

export function queryOf<T extends object>({ em, meta }: Call<T>, filters: readonly object[]): Query {
  const query = compileQuery({ meta, platform: em.getPlatform() }, filters as Given[])
  if (query.limit === undefined && query.offset === undefined) return query
  // Rows that are equal to the order come in any order, so that a row could be on two pages and another on none. The
  // entity's own order is named here, because MikroORM puts it behind all that is named.
  const orderBy = [...query.orderBy, ...[meta.orderBy ?? []].flat()] as Query['orderBy'][number][]
  const ordered = new Set(orderBy.flatMap(term => Object.keys(term)))
  const rest = meta.primaryKeys.filter(key => !ordered.has(key as string))
  return { ...query, orderBy: [...orderBy, ...rest.map(key => ({ [key as string]: 'asc' as const }))] }
}

export async function findRows<T extends object>(
  { em, entity, populate, ...call }: Call<T>,
  { where = {}, orderBy, limit, offset }: Partial<Query>,
  lock: LockMode | undefined = call.lock,
): Promise<T[]> {
  return em.find(
    entity,
    where as never,
    {
      ...(orderBy === undefined ? {} : { orderBy }),
      ...(limit === undefined ? {} : { limit }),
      ...(offset === undefined ? {} : { offset }),
      ...(lock === undefined ? {} : { lockMode: lock }),
      populate,
    } as never,
  )
}

/** Brings the relations of rows that came by another way than {@link findRows}. */
export async function populated<T extends object>({ em, populate }: Call<T>, rows: T[]): Promise<T[]> {
  if (populate.length > 0 && rows.length > 0) await em.populate(rows, populate as never)
  return rows
}
