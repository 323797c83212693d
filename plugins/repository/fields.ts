import type { EntityKey, EntityMetadata, EntityProperty, ExpandProperty, Primary } from '@mikro-orm/core'
import { ReferenceKind } from '@mikro-orm/core'
import { errors } from './errors.ts'

/** A field that a filter names, with the type of the values that it compares it with. For the compiler only. */
export interface Field<Name extends string, Value> {
  readonly name: Name
  readonly value: Value
}

/** How many relations a dotted path may cross for the compiler; the next lower number. */
type Lower = [never, 0, 1]

type IsAny<T> = 0 extends 1 & T ? true : false

/** What lies behind a relation or an embedded object. */
type FieldsBehind<Name extends string, Target, Depth extends number> =
  IsAny<Target> extends true
    ? never
    : unknown extends Target
      ? never
      : Target extends object
        ? FieldsOf<Target, Depth> extends infer F
          ? F extends Field<infer Inner, infer Value>
            ? Field<`${Name}.${Inner}`, Value>
            : never
          : never
        : never

/** A relation to one is compared with a key or an entity; what has many values is asked by `exists`. */
type ComparedWith<V> = V extends CollectionShape ? never : Primary<ExpandProperty<V>> | ExpandProperty<V>

/** What tells a collection of MikroORM, without all that it can do. */
interface CollectionShape {
  isInitialized(fully?: boolean): boolean
  loadCount(...options: never[]): Promise<number>
}

/**
 * The fields of an entity that filters may name, with their types: a filter on another name, or with values of
 * another type, does not compile. `author.name` crosses a relation; two of them can be crossed.
 */
export type FieldsOf<T, Depth extends number = 2> = {
  [K in EntityKey<T>]: K extends EntityKey<T, true>
    ?
        | Field<K, ComparedWith<T[K]>>
        | ([Lower[Depth & keyof Lower & number]] extends [never]
            ? never
            : FieldsBehind<K, ExpandProperty<T[K]>, Lower[Depth & keyof Lower & number]>)
    : Field<K, ExpandProperty<T[K]>>
}[EntityKey<T>]

/** The names in {@link FieldsOf}. */
export type FieldName<T> = FieldsOf<T>['name']

/** What a field is asked for, as an error names it. */
export type Purpose = 'to filter by' | 'to search in' | 'to order by' | 'to match by' | 'to write to'

const TO_MANY: readonly unknown[] = [ReferenceKind.ONE_TO_MANY, ReferenceKind.MANY_TO_MANY]

/** A property as a dotted path reaches it. */
export interface FieldPath {
  /** The relations and embedded objects before the property, outermost first. */
  readonly through: readonly EntityProperty[]
  readonly property: EntityProperty
}

/**
 * Finds the property that a dotted path names; that is what makes it safe to put into SQL.
 *
 * @param purpose completes the message
 * @throws SQLA_ERR_UNKNOWN_FIELD (400)
 */
export function fieldAt(meta: EntityMetadata, path: string, purpose: Purpose = 'to filter by'): FieldPath {
  if (typeof path !== 'string') throw unknownField(meta, typeof path, purpose)
  const through: EntityProperty[] = []
  let properties = meta.properties as Record<string, EntityProperty>
  const names = path.split('.')
  const last = names.pop() as string
  for (const name of names) {
    const property = own(properties, name)
    const inner =
      property?.kind === ReferenceKind.EMBEDDED ? property.embeddedProps : property?.targetMeta?.properties
    if (property === undefined || inner === undefined) throw unknownField(meta, path, purpose)
    through.push(property)
    properties = inner as Record<string, EntityProperty>
  }
  const property = own(properties, last)
  // What only the code knows cannot be asked for. A part of a JSON column is in no column of its own.
  const isStored = property?.persist !== false || isRelation(property) || through.some(({ object }) => object)
  if (property === undefined || !isStored) {
    throw unknownField(meta, path, purpose)
  }
  return { through, property }
}

export function isToMany(property: EntityProperty): boolean {
  return TO_MANY.includes(property.kind)
}

export function isRelation(property: EntityProperty): boolean {
  return property.kind !== ReferenceKind.SCALAR && property.kind !== ReferenceKind.EMBEDDED
}

/** Not what an object inherits: `constructor` is no field. */
function own<V>(object: Record<string, V>, name: string): V | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** What is thrown for a name that is no field; it lists those that are, without the hidden ones. */
export function unknownField(meta: EntityMetadata, path: string, purpose: Purpose): Error {
  const known = meta.props
    .filter(property => !property.hidden && property.persist !== false && !property.embedded)
    .map(property => property.name)
  return new errors.SQLA_ERR_UNKNOWN_FIELD(
    meta.className,
    path.length > 60 ? `${path.slice(0, 60)}…` : path,
    purpose,
    known.join(', '),
  )
}
