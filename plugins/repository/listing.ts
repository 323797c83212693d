import { type EntityMetadata, ReferenceKind, raw, Utils } from '@mikro-orm/core'
import type { SqlEm } from '../../src/index.ts'
import { type Call, findRows, populated, queryOf } from './call.ts'
import { isAnyJoinedToMany } from './condition-shape.ts'
import type { Query } from './query.ts'

const TOTAL = 'sqlassist_total'

export async function listAndCountRows<T extends object>(
  call: Call<T>,
  filters: readonly object[],
  how: 'window' | 'separate' = 'window',
): Promise<[items: T[], total: number]> {
  const query = queryOf(call, filters)
  if (how === 'window' && call.lock === undefined && (await isCountedByWindow(call, filters))) {
    const [items, total] = await pageWithTotal(call, query)
    return [await populated(call, items), total ?? (await totalBeyond(call, filters, query))]
  }
  const items = await findRows(call, query)
  // A first page that is not full has them all.
  const isAll = !query.offset && (query.limit === undefined || items.length < query.limit)
  return [items, isAll ? items.length : await countRows(call, filters)]
}

export async function countRows<T extends object>(
  call: Call<T>,
  filters: readonly object[],
): Promise<number> {
  return call.em.count(call.entity, queryOf(call, filters).where as never)
}

export async function isAnyRow<T extends object>(
  call: Call<T>,
  filters: readonly object[],
): Promise<boolean> {
  const { em, entity, meta } = call
  const builder = em
    .createQueryBuilder(entity, 'e0')
    .select(meta.primaryKeys as never[])
    .where(queryOf(call, filters).where as never)
    .limit(1)
  await builder.applyFilters()
  await em.tryFlush(entity, {})
  return (await builder.execute('all', false)).length > 0
}

/** No row is there to carry the total: the page is the first one and there is none, or it is beyond the last one. */
async function totalBeyond<T extends object>(
  call: Call<T>,
  filters: readonly object[],
  { limit, offset }: Query,
): Promise<number> {
  return !offset && limit !== 0 ? 0 : countRows(call, filters)
}

/**
 * One page and the number of all rows with one statement: the window function counts what the conditions leave,
 * before LIMIT cuts it.
 *
 * @returns no total when there is no row on this page, so that nobody carries it
 */
async function pageWithTotal<T extends object>(
  { em, entity, meta }: Call<T>,
  query: Query,
): Promise<[items: T[], total: number | undefined]> {
  const builder = em
    .createQueryBuilder(entity, 'e0')
    .select(['*', raw(`count(*) over () as ${em.getPlatform().quoteIdentifier(TOTAL)}`) as never] as never)
    .where(query.where as never)
    .orderBy((query.orderBy.length === 0 ? [meta.orderBy ?? []].flat() : query.orderBy) as never)
    .limit(query.limit as number, query.offset as number)
  await builder.applyFilters()
  await em.tryFlush(entity, {})
  const rows: Record<string, unknown>[] = await builder.execute('all', true)
  let total: number | undefined
  const items = rows.map(({ [TOTAL]: counted, ...row }) => {
    total = Number(counted)
    const options = { merge: true, convertCustomTypes: true }
    return em.getEntityFactory().create(meta.class, row as never, options) as T
  })
  await em.getUnitOfWork().dispatchOnLoadEvent()
  return [items, total]
}

/**
 * Whether a plain select brings what MikroORM's `find` would. It does not of entities with columns that only `find`
 * selects (formulas, lazy columns, conversions in SQL, tables per subclass, eager relations), where a filter of
 * MikroORM says which rows a relation may show, and where rows come once per related row.
 */
async function isCountedByWindow<T extends object>(
  { em, meta }: Call<T>,
  filters: readonly object[],
): Promise<boolean> {
  if (!isSelectedPlainly(meta) || isAnyJoinedToMany(meta, filters)) return false
  for (const { kind, filters: own, targetMeta } of meta.relations) {
    if (kind !== ReferenceKind.MANY_TO_ONE && kind !== ReferenceKind.ONE_TO_ONE) continue
    const condition = await filterOf(em, targetMeta as EntityMetadata, (own ?? {}) as object)
    if (!Utils.isEmpty(condition)) return false
  }
  return true
}

/** What MikroORM's global filters add to a condition on an entity. */
function filterOf(em: SqlEm, meta: EntityMetadata, options: object): Promise<unknown> {
  return em.applyFilters(meta.class, {}, options as never, 'read') as Promise<unknown>
}

const plainly = new WeakMap<EntityMetadata, boolean>()

function isSelectedPlainly(meta: EntityMetadata): boolean {
  let answer = plainly.get(meta)
  if (answer === undefined) {
    answer =
      !meta.virtual &&
      meta.root.inheritanceType === undefined &&
      meta.props.every(
        property =>
          property.formula === undefined &&
          !property.lazy &&
          !property.eager &&
          !property.hasConvertToJSValueSQL &&
          !(property.kind === ReferenceKind.ONE_TO_ONE && !property.owner),
      )
    plainly.set(meta, answer)
  }
  return answer
}
