import { errors } from './errors.ts'
import type { Field } from './fields.ts'

/** For the compiler: the fields that a filter names. A filter fits every entity that has them. */
declare const kFields: unique symbol

interface Naming<F> {
  readonly [kFields]?: F
}

/** A filter that rows satisfy or not. Frozen data: it can be kept, compared and combined. */
export type Condition<F = never> = Naming<F> & ConditionNode

/** A filter that says in which order rows come, and which part of them. */
export type Arrangement<F = never> = Naming<F> & ArrangementNode

/** What a repository lists by. The order in which filters are given does not matter, but that of several orders does. */
export type Filter<F = never> = Condition<F> | Arrangement<F>

export type SortOrder = 'asc' | 'desc'

export type ComparisonOperator =
  | 'eq'
  | 'ne'
  | 'gt'
  | 'ge'
  | 'lt'
  | 'le'
  | 'in'
  | 'notIn'
  | 'between'
  | 'contains'
  | 'startsWith'

export type ConditionNode =
  | {
      readonly kind: 'compare'
      readonly field: string
      readonly operator: ComparisonOperator
      readonly value: unknown
    }
  | {
      readonly kind: 'search'
      readonly fields: readonly string[]
      readonly value: string
      readonly ignoreCase: boolean
      readonly negated: boolean
    }
  | { readonly kind: 'null'; readonly field: string; readonly negated: boolean }
  | {
      readonly kind: 'exists'
      readonly relation: string
      readonly conditions: readonly ConditionNode[]
      readonly negated: boolean
    }
  | {
      readonly kind: 'group'
      readonly operator: 'and' | 'or'
      readonly conditions: readonly ConditionNode[]
    }

export type ArrangementNode =
  | { readonly kind: 'order'; readonly field: string; readonly direction: SortOrder }
  | { readonly kind: 'page'; readonly limit: number; readonly offset: number }

/**
 * A page of the result.
 *
 * @param limit how many rows at most
 * @param offset how many rows are left out before them
 * @throws SQLA_ERR_INVALID_FILTER (400) one of them is no whole number from 0 to 2⁵³ - 1
 *
 * @example
 * ```ts
 * await repository.list(orderBy('id'), limitOffset(20, 40)) // … order by "id" asc limit 20 offset 40
 * ```
 */
export function limitOffset(limit: number, offset = 0): Arrangement {
  for (const [name, value] of Object.entries({ limit, offset })) {
    if (!Number.isSafeInteger(value) || value < 0) refuse(name, 'must be a whole number, 0 or more')
  }
  return freeze({ kind: 'page', limit, offset })
}

/**
 * @param direction default `'asc'`
 * @throws SQLA_ERR_INVALID_FILTER (400) the direction is neither `'asc'` nor `'desc'`
 *
 * @example
 * ```ts
 * await repository.list(orderBy('author.name'), orderBy('id', 'desc'))
 * ```
 */
export function orderBy<const F extends string>(
  field: F,
  direction: SortOrder = 'asc',
): Arrangement<Field<F, never>> {
  if (direction !== 'asc' && direction !== 'desc') refuse('the sort order', "must be 'asc' or 'desc'")
  return freeze({ kind: 'order', field, direction })
}

/**
 * Rows of which one of the fields contains the text. `%`, `_` and `\` stand for themselves.
 *
 * @param options `ignoreCase`: default false, on every database
 *
 * @example
 * ```ts
 * await repository.list(search(['title', 'text'], '50%', { ignoreCase: true }))
 * // PostgreSQL: where ("title" ilike '%50\%%' or "text" ilike '%50\%%')
 * ```
 */
export function search<const F extends string>(
  fields: F | readonly F[],
  value: string,
  options: { readonly ignoreCase?: boolean } = {},
): Condition<Field<F, string>> {
  return searchNode(fields, value, options, false)
}

/** Rows of which none of the fields contains the text; a field that is null contains nothing. See {@link search}. */
export function notInSearch<const F extends string>(
  fields: F | readonly F[],
  value: string,
  options: { readonly ignoreCase?: boolean } = {},
): Condition<Field<F, string>> {
  return searchNode(fields, value, options, true)
}

/**
 * Rows whose field has one of the values. No list (null or undefined) restricts nothing; an empty list matches
 * nothing.
 *
 * @example
 * ```ts
 * await repository.list(collection('status', ['open', 'waiting'])) // where "status" in ('open', 'waiting')
 * ```
 */
export function collection<const F extends string, const V = never>(
  field: F,
  values: readonly V[] | null | undefined,
): Condition<Field<F, NoInfer<V>>> {
  return values == null ? NOTHING_ASKED : compare(field, 'in', values)
}

/** Rows whose field has none of the values; null is no value. No list and an empty list restrict nothing. */
export function notInCollection<const F extends string, const V = never>(
  field: F,
  values: readonly V[] | null | undefined,
): Condition<Field<F, NoInfer<V>>> {
  return values == null || values.length === 0 ? NOTHING_ASKED : compare(field, 'notIn', values)
}

/**
 * Rows strictly before one point and strictly after another. What is left out restricts nothing.
 *
 * @example
 * ```ts
 * beforeAfter('createdAt', { after: new Date('2026-01-01') }) // where "created_at" > '2026-01-01…'
 * ```
 */
export function beforeAfter<const F extends string, V = Date>(
  field: F,
  bounds: { readonly before?: V | null | undefined; readonly after?: V | null | undefined },
): Condition<Field<F, NoInfer<V>>> {
  return between(field, [
    ['lt', bounds.before],
    ['gt', bounds.after],
  ])
}

/** As {@link beforeAfter}, the points themselves included. */
export function onBeforeAfter<const F extends string, V = Date>(
  field: F,
  bounds: { readonly onOrBefore?: V | null | undefined; readonly onOrAfter?: V | null | undefined },
): Condition<Field<F, NoInfer<V>>> {
  return between(field, [
    ['le', bounds.onOrBefore],
    ['ge', bounds.onOrAfter],
  ])
}

/** Rows whose field is null. */
export function isNull<const F extends string>(field: F): Condition<Field<F, never>> {
  return freeze({ kind: 'null', field, negated: false })
}

/** Rows whose field is not null. */
export function notNull<const F extends string>(field: F): Condition<Field<F, never>> {
  return freeze({ kind: 'null', field, negated: true })
}

/** The values of an operator: one, two, or a list. */
export type ComparisonValue<Op extends ComparisonOperator, V> = Op extends 'in' | 'notIn'
  ? readonly V[]
  : Op extends 'between'
    ? readonly [V, V]
    : V

/**
 * Rows whose field compares so. `eq` and `ne` take null; `between` has both ends included; `contains` and
 * `startsWith` count the case.
 *
 * @throws SQLA_ERR_INVALID_FILTER (400) there is no such operator, or the value does not go with it
 *
 * @example
 * ```ts
 * comparison('age', 'ge', 18) // where "age" >= 18
 * comparison('age', 'between', [18, 65]) // where "age" >= 18 and "age" <= 65
 * ```
 */
export function comparison<const F extends string, Op extends ComparisonOperator, const V>(
  field: F,
  operator: Op,
  value: ComparisonValue<Op, V>,
): Condition<Field<F, NonNullable<NoInfer<V>>>> {
  return compare(field, operator, value)
}

/**
 * Rows that are related to at least one row which satisfies the conditions.
 *
 * @param relation any relation, to one or to many
 * @param conditions on the entity behind it; none: that there is one
 *
 * @example
 * ```ts
 * await authors.list(exists('notes', comparison('pinned', 'eq', true)))
 * // where "id" in (select "author_id" from "note" where "pinned" = true)
 * ```
 */
export function exists<const R extends string, const C extends readonly Condition<unknown>[]>(
  relation: R,
  ...conditions: C
): Condition<Behind<R, FieldsIn<C[number]>>> {
  return existsNode(relation, conditions, false)
}

/** Rows that are related to no row which satisfies the conditions. See {@link exists}. */
export function notExists<const R extends string, const C extends readonly Condition<unknown>[]>(
  relation: R,
  ...conditions: C
): Condition<Behind<R, FieldsIn<C[number]>>> {
  return existsNode(relation, conditions, true)
}

/** The fields that a condition names. */
type FieldsIn<C> = C extends Naming<infer F> ? F : never

type Behind<R extends string, F> =
  | Field<R, never>
  | (F extends Field<infer Name, infer Value> ? Field<`${R}.${Name}`, Value> : never)

/**
 * Several conditions as one. An empty `'and'` is satisfied by every row, an empty `'or'` by none.
 *
 * @example
 * ```ts
 * filterGroup('or', [isNull('deletedAt'), beforeAfter('deletedAt', { after: lastMonth })])
 * ```
 */
export function filterGroup<const C extends readonly Condition<unknown>[]>(
  operator: 'and' | 'or',
  conditions: C,
): Condition<FieldsIn<C[number]>> {
  if (operator !== 'and' && operator !== 'or') refuse('the operator of a group', "must be 'and' or 'or'")
  assertConditions('a group', conditions)
  return freeze({ kind: 'group', operator, conditions: [...conditions] })
}

function searchNode(
  fields: string | readonly string[],
  value: string,
  { ignoreCase = false }: { readonly ignoreCase?: boolean },
  negated: boolean,
): Condition<never> {
  const list = typeof fields === 'string' ? [fields] : fields
  if (list.length === 0) refuse('a search', 'needs at least one field')
  if (typeof value !== 'string') refuse('the text of a search', 'must be a string')
  return freeze({ kind: 'search', fields: [...list], value, ignoreCase, negated })
}

function compare(field: string, operator: ComparisonOperator, value: unknown): Condition<never> {
  return freeze({ kind: 'compare', field, operator, value: Array.isArray(value) ? [...value] : value })
}

function between(
  field: string,
  bounds: readonly (readonly [ComparisonOperator, unknown])[],
): Condition<never> {
  const conditions = bounds
    .filter(([, value]) => value != null)
    .map(([operator, value]) => compare(field, operator, value))
  if (conditions.length === 1) return conditions[0] as Condition<never>
  return freeze({ kind: 'group', operator: 'and', conditions })
}

function existsNode(
  relation: string,
  conditions: readonly ConditionNode[],
  negated: boolean,
): Condition<never> {
  assertConditions('exists', conditions)
  return freeze({ kind: 'exists', relation, conditions: [...conditions], negated })
}

/** Not what looks like one: it may have come from a client. */
function assertConditions(what: string, conditions: readonly ConditionNode[]): void {
  if (
    conditions.every(
      one => isFilter(one) && one.kind !== ('order' as string) && one.kind !== ('page' as string),
    )
  ) {
    return
  }
  refuse(what, 'takes conditions that the functions here have made; orders and pages stand beside it')
}

const made = new WeakSet<object>()

/** Whether a function of this module has made it. */
export function isFilter(one: object): one is ConditionNode | ArrangementNode {
  return made.has(one)
}

/** The one place where plain data becomes a filter. */
function freeze<N extends ConditionNode | ArrangementNode>(node: N): N {
  made.add(node)
  return Object.freeze(node)
}

/** Satisfied by every row. */
const NOTHING_ASKED: Condition = freeze({ kind: 'group', operator: 'and', conditions: [] })

function refuse(what: string, problem: string): never {
  throw new errors.SQLA_ERR_INVALID_FILTER(what, problem)
}
