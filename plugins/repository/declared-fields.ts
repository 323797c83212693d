import { type EntityName, EntitySchema, Utils } from '@mikro-orm/core'
import { errors as core } from '../../src/index.ts'
import { errors } from './errors.ts'
import type { Purpose } from './fields.ts'

// The fields of an entity as `defineEntity` was told, before any MikroORM is started: routes are declared then.

/** What of a property's declaration matters here. */
export interface DeclaredProperty {
  /** `'m:1'`, `'1:1'`, `'1:m'`, `'m:n'`, `'embedded'`; nothing of a column. */
  readonly kind?: string
  /** A class or an instance of MikroORM's types, a constructor, or a name. */
  readonly type?: unknown
  readonly entity?: () => unknown
  readonly columnType?: string
  readonly columnTypes?: readonly string[]
  readonly length?: number
  readonly unsigned?: boolean
  readonly primary?: boolean
  readonly enum?: boolean
  readonly items?: unknown
  readonly nativeEnumName?: string
  readonly array?: boolean
  readonly object?: boolean
  readonly persist?: boolean
  readonly formula?: unknown
  readonly mappedBy?: unknown
  readonly hidden?: boolean
}

/** A field as a dotted path reaches it. */
export interface DeclaredField {
  readonly path: string
  readonly property: DeclaredProperty
  /** Whether one row can have several values of it. */
  readonly many: boolean
}

type Schema = EntitySchema<object>

/**
 * @throws SQLA_ERR_INVALID_OPTION it is neither a schema nor the class of one
 */
export function schemaOf(entity: EntityName<object>): Schema {
  const schema = EntitySchema.is(entity) ? entity : EntitySchema.REGISTRY.get(entity as never)
  if (schema === undefined) {
    throw new core.SQLA_ERR_INVALID_OPTION(
      'the entity of filterQuery',
      'must be what defineEntity returns, or a class that was given to its setClass',
    )
  }
  return schema as Schema
}

/**
 * @param purpose completes the message
 * @throws SQLA_ERR_UNKNOWN_FIELD
 */
export function declaredField(schema: Schema, path: string, purpose: Purpose): DeclaredField {
  const unknown = () =>
    new errors.SQLA_ERR_UNKNOWN_FIELD(schema.meta.className, path, purpose, fieldNames(schema).join(', '))
  const names = String(path).split('.')
  const last = names.pop() as string
  let at: Schema = schema
  let many = false
  for (const name of names) {
    const property = propertyOf(at, name)
    // An object embedded as JSON is one column, not several.
    if (property?.entity === undefined || property.object || property.array) throw unknown()
    many ||= isToMany(property)
    at = targetOf(property)
  }
  const property = propertyOf(at, last)
  const inColumn = property?.persist !== false && property?.formula === undefined
  if (property === undefined || (!inColumn && property.entity === undefined)) throw unknown()
  return { path, property, many: many || isToMany(property) }
}

/** The only primary key; undefined when it is composite. */
export function primaryKeyOf(schema: Schema): string | undefined {
  const keys = namesOf(schema).filter(name => propertyOf(schema, name)?.primary)
  return keys.length === 1 ? keys[0] : undefined
}

export function targetOf(property: DeclaredProperty): Schema {
  return schemaOf((property.entity as () => EntityName<object>)())
}

export function isToMany({ kind }: DeclaredProperty): boolean {
  return kind === '1:m' || kind === 'm:n'
}

/** Whether it is a relation whose key is in a column of this entity. */
export function isReference({ kind, mappedBy }: DeclaredProperty): boolean {
  return kind === 'm:1' || (kind === '1:1' && mappedBy === undefined)
}

/** The values of an enum, however it was declared. */
export function enumItems({ items }: DeclaredProperty): readonly (string | number)[] | undefined {
  const given = typeof items === 'function' ? items() : items
  if (given === undefined || given === null) return undefined
  return Array.isArray(given) ? given : Utils.extractEnumValues(given as never)
}

/** The one property of that name: relations are declared by functions that may not be called too early. */
export function propertyOf(schema: Schema, name: string): DeclaredProperty | undefined {
  const properties = schema.meta.properties as Record<string, DeclaredProperty>
  if (Object.hasOwn(properties, name)) return properties[name]
  const parent = parentOf(schema)
  return parent && propertyOf(parent, name)
}

function namesOf(schema: Schema): string[] {
  const parent = parentOf(schema)
  return [...(parent ? namesOf(parent) : []), ...Object.keys(schema.meta.properties)]
}

function fieldNames(schema: Schema): string[] {
  return namesOf(schema).filter(name => {
    const property = propertyOf(schema, name)
    return !property?.hidden && property?.persist !== false
  })
}

function parentOf(schema: Schema): Schema | undefined {
  const { extends: parent } = schema.meta
  return parent === undefined ? undefined : schemaOf(parent as EntityName<object>)
}
