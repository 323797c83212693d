import { type EntityMetadata, type EntityProperty, Utils } from '@mikro-orm/core'
import { fieldAt, isRelation, isToMany } from './fields.ts'
import { type ConditionNode, isFilter } from './filters.ts'
import type { Given } from './query.ts'

// What can be told from the form of a condition, before it is SQL.

type Where = Record<string | symbol, unknown>

/** Whether a condition restricts nothing, as far as can be told from its form. */
export function isUnrestricted(where: Where): boolean {
  if (Object.getOwnPropertySymbols(where).length > 0) return false
  return Object.entries(where).every(([key, value]) => {
    const parts = [value].flat().filter(part => part !== undefined)
    if (key === '$and') return parts.every(isNothing)
    if (key === '$or') return parts.length === 0 || parts.some(isNothing)
    if (key === '$some' || key === '$none') return false
    return Array.isArray(value) ? false : isNothing(value)
  })
}

function isNothing(value: unknown): boolean {
  return value === undefined || (Utils.isPlainObject(value) && isUnrestricted(value as Where))
}

/** Whether a condition of MikroORM may bring a row once per related row. (Ours are subqueries.) */
export function isAnyJoinedToMany(meta: EntityMetadata, given: readonly Given[]): boolean {
  return given.some(one => !isFilter(one) && joinsToMany(meta, one as Where))
}

function joinsToMany(meta: EntityMetadata, where: unknown): boolean {
  if (Array.isArray(where)) return where.some(one => joinsToMany(meta, one))
  if (!Utils.isPlainObject(where)) return false
  return Object.entries(where as Where).some(([key, value]) => {
    if (key.startsWith('$')) return joinsToMany(meta, value)
    const property = Object.hasOwn(meta.properties, key) ? meta.properties[key as never] : undefined
    // A path or something else that we do not know: MikroORM's own way is right in any case.
    if (property === undefined) return true
    const { targetMeta } = property as EntityProperty
    return isToMany(property) || (targetMeta !== undefined && joinsToMany(targetMeta, value))
  })
}

/**
 * Whether MikroORM gives the table an alias in a bulk update or delete with these conditions: it does when they reach
 * over a relation.
 */
export function qualifies(meta: EntityMetadata, given: readonly Given[]): boolean {
  return given.some(one => {
    if (!isFilter(one)) return reachesOver(meta, one)
    return nodeReachesOver(meta, one as ConditionNode)
  })
}

function nodeReachesOver(meta: EntityMetadata, node: ConditionNode): boolean {
  switch (node.kind) {
    case 'exists':
      return true
    case 'group':
      return node.conditions.some(one => nodeReachesOver(meta, one))
    case 'search':
      return node.fields.some(field => fieldAt(meta, field).through.some(isRelation))
    default:
      return fieldAt(meta, node.field).through.some(isRelation)
  }
}

function reachesOver(meta: EntityMetadata, where: unknown): boolean {
  if (Array.isArray(where)) return where.some(one => reachesOver(meta, one))
  if (!Utils.isPlainObject(where)) return false
  return Object.entries(where as Where).some(([key, value]) => {
    if (key.startsWith('$')) return reachesOver(meta, value)
    const property = Object.hasOwn(meta.properties, key) ? meta.properties[key as never] : undefined
    return property !== undefined && isRelation(property) && Utils.isPlainObject(value)
  })
}
