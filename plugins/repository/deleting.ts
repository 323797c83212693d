import { EventType, type Primary, ReferenceKind } from '@mikro-orm/core'
import type { SqlEm } from '../../src/index.ts'
import { allOrNothing, type Call } from './call.ts'
import { chunksOf, keysAtOnce } from './chunks.ts'
import { isUnrestricted, qualifies } from './condition-shape.ts'
import { errors } from './errors.ts'
import { keysCondition, keyValue } from './keys.ts'
import { FLUSH_EVENTS, isListenedTo } from './listeners.ts'
import { compileQuery, type Given } from './query.ts'
import { forget, getRow } from './saving.ts'

// What `Repository` does to delete rows; its methods say what each is for.

export async function deleteRow<T extends object>(call: Call<T>, key: Primary<T>): Promise<T> {
  const entity = await getRow(call, key)
  call.em.remove(entity)
  await call.em.flush()
  return entity
}

export async function deleteRows<T extends object>(
  call: Call<T>,
  keys: readonly Primary<T>[],
): Promise<number> {
  const { em, entity, meta } = call
  const values = keys.map(key => keyValue(meta, key))
  await em.flush()
  const known = (on: SqlEm) => values.flatMap(key => on.getUnitOfWork().getById(entity, key as never) ?? [])
  const deleted = await allOrNothing(em, async inner => {
    let rows = 0
    for (const chunk of chunksOf(values, keysAtOnce(meta))) {
      rows += await deleteBy({ ...call, em: inner }, () => keysCondition(meta, chunk))
    }
    forget(inner, known(inner))
    return rows
  })
  forget(em, known(em))
  return deleted
}

export async function deleteRowsWhere<T extends object>(
  call: Call<T>,
  conditions: readonly object[],
): Promise<number> {
  const { em, meta } = call
  const given = conditions as readonly Given[]
  const compiled = (qualified: boolean) =>
    compileQuery({ meta, platform: em.getPlatform(), qualified }, given).where
  if (isUnrestricted(compiled(true))) {
    throw new errors.SQLA_ERR_INVALID_FILTER(
      'deleteWhere',
      'needs a condition: without one every row would go',
    )
  }
  await em.flush()
  return deleteBy(call, () => compiled(isDeletedByUnitOfWork(call) || qualifies(meta, given)))
}

async function deleteBy<T extends object>(call: Call<T>, where: () => object): Promise<number> {
  const { em, entity } = call
  if (!isDeletedByUnitOfWork(call)) return em.nativeDelete(entity, where() as never)
  const entities = await em.find(entity, where() as never)
  em.remove(entities)
  await em.flush()
  return entities.length
}

/** Whether more happens than that the rows go: hooks, and relations that MikroORM removes along. */
function isDeletedByUnitOfWork<T extends object>({ em, meta }: Call<T>): boolean {
  const events = [EventType.beforeDelete, EventType.afterDelete, ...FLUSH_EVENTS]
  return (
    isListenedTo(em, meta, events) ||
    meta.relations.some(
      ({ orphanRemoval, cascade, kind }) =>
        orphanRemoval ||
        (kind !== ReferenceKind.SCALAR && cascade?.some(each => each === 'remove' || each === 'all')),
    )
  )
}
