import type { EntityMetadata, EntityProperty } from '@mikro-orm/core'
import type { SqlEm } from '../../src/index.ts'

/** A row, by property or by column. */
export type Row = Record<string, unknown>

/** What becomes of rows that are inserted, in their order. */
export interface Harvest<R> {
  readonly result: R[]
  /** Before the server has answered. */
  prepare(row: Row): void
  /** @param generated what the server has filled in */
  finish(row: Row, generated: Row | undefined): void
  /** After a failure. */
  undo(): void
}

/** Entities, as if the session had found them. They are made while the server works. */
export function entityHarvest<T extends object>(em: SqlEm, meta: EntityMetadata): Harvest<T> {
  const result: T[] = []
  const unitOfWork = em.getUnitOfWork()
  let adopted = 0
  return {
    result,
    prepare: row => void result.push(em.getEntityFactory().create(meta.class, row as never) as T),
    finish(_row, generated) {
      const entity = result[adopted++] as T
      // Does nothing when there is nothing that the database has filled in.
      unitOfWork.getChangeSetPersister().mapReturnedValues(entity, {} as never, generated, meta as never)
      const snapshot = em.getComparator().prepareEntity(entity)
      unitOfWork.register(entity, snapshot as never, { refresh: true })
    },
    undo() {
      for (const entity of result.slice(0, adopted)) unitOfWork.unsetIdentity(entity)
    },
  }
}

/** Their primary keys alone. */
export function keyHarvest<K>(em: SqlEm, meta: EntityMetadata): Harvest<K> {
  const result: K[] = []
  const keys = meta.getPrimaryProps()
  const keyPart = ({ name, customType }: EntityProperty, row: Row, read: Row): unknown => {
    if (row[name] !== undefined) return row[name]
    return customType ? customType.convertToJSValue(read[name] as never, em.getPlatform()) : read[name]
  }
  return {
    result,
    prepare() {},
    finish(row, generated) {
      const read = generated === undefined ? {} : (em.getDriver().mapResult(generated, meta) ?? {})
      const values = keys.map(key => keyPart(key, row, read))
      result.push((meta.compositePK ? values : values[0]) as K)
    },
    undo() {},
  }
}
