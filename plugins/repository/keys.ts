import { type EntityMetadata, type Primary, Utils } from '@mikro-orm/core'
import { clientError } from './constraint-errors.ts'
import { errors } from './errors.ts'
import { fieldAt, unknownField } from './fields.ts'
import { keyOperand, operandOf } from './values.ts'

type Values = Record<string, unknown>

/** The name under which MikroORM takes the values of a key: `id`, or `a~~~b` of a composite one. */
export function keyName(meta: EntityMetadata): string {
  return Utils.getPrimaryKeyHash(meta.primaryKeys as string[])
}

/**
 * @param key a value, or of a composite key the values in order or by name
 * @throws SQLA_ERR_INVALID_FILTER (400) the key has too few or too many parts, or parts that are no values
 */
export function keyValue<T>(meta: EntityMetadata, key: Primary<T>): unknown {
  return keyOperand(`the key of ${meta.className}`, meta, key)
}

/** The rows with these keys, as a condition. */
export function keysCondition(meta: EntityMetadata, keys: readonly unknown[]): Values {
  return { [keyName(meta)]: keys.length === 1 ? keys[0] : { $in: keys } }
}

/** A key as text, to look rows up by; `7` and `'7'` are the same. */
export function keyHash(key: unknown): string {
  return [key].flat(Number.POSITIVE_INFINITY).map(hashPart).join('\0')
}

function hashPart(part: unknown): string {
  if (part instanceof Date) return part.toISOString()
  return part instanceof Uint8Array ? Buffer.from(part).toString('hex') : String(part)
}

/**
 * The part of the data that says which row is meant.
 *
 * @param names the fields to match by; none: the primary key
 * @throws SQLA_ERR_UNKNOWN_FIELD (400), SQLA_ERR_INVALID_FILTER (400) a field to match by has no value
 */
export function matchOf(meta: EntityMetadata, data: object, names: readonly string[] | undefined): Values {
  return Object.fromEntries(
    matchNames(meta, names).map(name => {
      const value = (data as Values)[name]
      if (value == null) {
        throw new errors.SQLA_ERR_INVALID_FILTER(`field '${name}'`, 'is matched by, so it needs a value')
      }
      return [name, operandOf(`field '${name}'`, fieldAt(meta, name, 'to match by').property, value)]
    }),
  )
}

/** @throws SQLA_ERR_UNKNOWN_FIELD (400) */
export function matchNames(meta: EntityMetadata, names: readonly string[] | undefined): readonly string[] {
  if (names === undefined || names.length === 0) return meta.primaryKeys as string[]
  for (const name of names) {
    const { through } = fieldAt(meta, name, 'to match by')
    if (through.length > 0) throw unknownField(meta, name, 'to match by')
  }
  return names
}

/** @throws SQLA_ERR_UNKNOWN_FIELD (400) MikroORM would drop the value without a word */
export function assertFields(meta: EntityMetadata, data: object): void {
  for (const name of Object.keys(data)) {
    if (!Object.hasOwn(meta.properties, name)) throw unknownField(meta, name, 'to write to')
  }
}

/** @param fields what was looked for by; default the primary key; none: a condition */
export function notFound(
  meta: EntityMetadata,
  fields: readonly string[] = meta.primaryKeys as string[],
): Error {
  return clientError({
    code: 'SQLA_ERR_NOT_FOUND',
    message: [meta.className, fields.length === 0 ? 'condition' : fields.join(' and ')],
    entity: meta.className,
    fields,
  })
}
