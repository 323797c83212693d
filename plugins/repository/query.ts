import {
  type EntityMetadata,
  type EntityProperty,
  type Platform,
  ReferenceKind,
  Utils,
} from '@mikro-orm/core'
import { errors } from './errors.ts'
import { type FieldPath, fieldAt, isRelation, isToMany } from './fields.ts'
import {
  type ArrangementNode,
  type ComparisonOperator,
  type ConditionNode,
  isFilter,
  type SortOrder,
} from './filters.ts'
import { likeCondition } from './like.ts'
import { operandOf } from './values.ts'

/** A condition as MikroORM takes it. */
type Where = Record<string | symbol, unknown>

/** Filters in the words of MikroORM. */
export interface Query {
  readonly where: Where
  readonly orderBy: readonly OrderTerm[]
  readonly limit: number | undefined
  readonly offset: number | undefined
}

/** `{ name: 'asc' }`, `{ author: { name: 'asc' } }` */
export interface OrderTerm {
  readonly [property: string]: SortOrder | OrderTerm
}

/** What a repository is given: filters of ours, or conditions of MikroORM. */
export type Given = ConditionNode | ArrangementNode | object

/** What filters are compiled against. */
export interface QueryContext {
  readonly meta: EntityMetadata
  readonly platform: Platform
  /** False where MikroORM gives the table no alias: bulk updates and deletes. */
  readonly qualified?: boolean
}

/**
 * Compiles filters to what MikroORM's `find` takes. Of several pages the last one holds; several orders follow each
 * other. (MikroORM consumes a condition in SQL of its own: compile once per statement.)
 *
 * @throws SQLA_ERR_UNKNOWN_FIELD (400), SQLA_ERR_INVALID_FILTER (400)
 */
export function compileQuery(context: QueryContext, given: readonly Given[]): Query {
  const conditions: Where[] = []
  const orderBy: OrderTerm[] = []
  let page: { limit?: number; offset?: number } = {}
  for (const one of given) {
    if (!isFilter(one)) {
      if (!Utils.isPlainObject(one)) refuse('what is listed by', 'must be filters or conditions, one by one')
      assertKnownKeys(context.meta, one as Where)
      if (Reflect.ownKeys(one).length > 0) conditions.push(one as Where)
    } else if (one.kind === 'page') page = one
    else if (one.kind === 'order') orderBy.push(orderTerm(context.meta, one.field, one.direction))
    else conditions.push(compile(context, one))
  }
  return { where: all(conditions), orderBy, limit: page.limit, offset: page.offset }
}

/** Whether a condition that is compiled here restricts nothing. */
function isEmpty(where: Where): boolean {
  return Reflect.ownKeys(where).length === 0
}

/** MikroORM would find a mistake, too, but not with an error that a client may read. */
function assertKnownKeys(meta: EntityMetadata, where: Where): void {
  for (const [key, value] of Object.entries(where)) {
    if (key === '$and' || key === '$or') {
      for (const inner of value as Where[]) assertKnownKeys(meta, inner)
    } else if (key === '$not') assertKnownKeys(meta, value as Where)
    else if (!key.startsWith('$')) fieldAt(meta, key)
  }
}

function compile(context: QueryContext, node: ConditionNode): Where {
  const { meta } = context
  switch (node.kind) {
    case 'group': {
      const inner = node.conditions.map(one => compile(context, one))
      if (node.operator === 'and') return all(inner)
      if (inner.some(isEmpty)) return {}
      return inner.length === 1 ? (inner[0] as Where) : { $or: inner.length === 0 ? [NEVER(meta)] : inner }
    }
    case 'search':
      return searchWhere(context, node)
    case 'null':
      return nullWhere(fieldAt(meta, node.field), node)
    case 'exists':
      return existsWhere(context, node)
    case 'compare':
      return compareWhere(context, node.field, node.operator, node.value)
  }
}

function nullWhere(path: FieldPath, { field, negated }: { field: string; negated: boolean }): Where {
  const { property } = path
  if (isToMany(property)) refuse(`field '${field}'`, 'has many values; ask whether one exists')
  if (property.kind === ReferenceKind.EMBEDDED) {
    refuse(`field '${field}'`, 'is an object; name one of its fields')
  }
  return comparing(path, negated ? { $ne: null } : { $eq: null })
}

function searchWhere(context: QueryContext, node: ConditionNode & { kind: 'search' }): Where {
  const { fields, ignoreCase, negated, value } = node
  if (negated) return notSatisfied(context, { ...node, negated: false })
  const found = fields.map(field => {
    const path = fieldAt(context.meta, field, 'to search in')
    return nest(path, like(context, path, value, ignoreCase, 'contains'))
  })
  return found.length === 1 ? (found[0] as Where) : { $or: found }
}

/**
 * Satisfied by exactly the rows that do not satisfy the condition. SQL's own NOT is not enough: neither `name = 'x'`
 * nor its negation holds where the name is null.
 */
function notSatisfied(context: QueryContext, node: ConditionNode): Where {
  switch (node.kind) {
    case 'group': {
      const inner = node.conditions.map(one => notSatisfied(context, one))
      if (node.operator === 'or') return all(inner)
      if (inner.some(isEmpty)) return {}
      return { $or: inner.length === 0 ? [NEVER(context.meta)] : inner }
    }
    case 'exists':
      return compile(context, { ...node, negated: !node.negated })
    case 'null':
      return (
        behindRelation(context, node.field, field => ({ ...node, field })) ??
        compile(context, { ...node, negated: !node.negated })
      )
    case 'search':
      if (node.negated) return compile(context, { ...node, negated: false })
      return all(node.fields.map(field => unlike(context, field, one => ({ ...node, fields: [one] }))))
    case 'compare':
      return unlike(context, node.field, field => ({ ...node, field }))
  }
}

function unlike(context: QueryContext, field: string, on: (field: string) => ConditionNode): Where {
  const behind = behindRelation(context, field, on)
  if (behind !== undefined) return behind
  const node = on(field)
  const isOfNull = node.kind === 'compare' && node.value === null
  const not = { $not: compile(context, node) }
  return isOfNull ? not : { $or: [comparing(fieldAt(context.meta, field), { $eq: null }), not] }
}

/** No row behind the first relation of a path satisfies the condition. */
function behindRelation(
  context: QueryContext,
  field: string,
  on: (field: string) => ConditionNode,
): Where | undefined {
  const dot = field.indexOf('.')
  const [first] = fieldAt(context.meta, field).through
  if (first === undefined || !isRelation(first)) return undefined
  const conditions = [on(field.slice(dot + 1))]
  return existsWhere(context, { kind: 'exists', relation: first.name, conditions, negated: true })
}

function existsWhere(context: QueryContext, node: ConditionNode & { kind: 'exists' }): Where {
  const path = fieldAt(context.meta, node.relation)
  const { property } = path
  if (!isRelation(property))
    refuse(`field '${node.relation}'`, 'is no relation, so nothing can exist behind it')
  const target = { ...context, meta: property.targetMeta as EntityMetadata }
  const inner = all(node.conditions.map(one => compile(target, one)))
  if (isToMany(property))
    return nest(path, { [property.name]: { [node.negated ? '$none' : '$some']: inner } })
  const some = comparing(path, { $ne: null })
  if (!node.negated) {
    // A row without the relation joins a row of nulls, which may satisfy the conditions.
    return isEmpty(inner) ? some : all([some, nest(path, { [property.name]: inner })])
  }
  const none = comparing(path, { $eq: null })
  if (isEmpty(inner)) return none
  const unsatisfied = notSatisfied(target, { kind: 'group', operator: 'and', conditions: node.conditions })
  return isEmpty(unsatisfied) ? {} : { $or: [none, nest(path, { [property.name]: unsatisfied })] }
}

const COMPARISONS: Readonly<Record<string, string>> = {
  eq: '$eq',
  ne: '$ne',
  gt: '$gt',
  ge: '$gte',
  lt: '$lt',
  le: '$lte',
}

function compareWhere(
  context: QueryContext,
  field: string,
  operator: ComparisonOperator,
  value: unknown,
): Where {
  const path = fieldAt(context.meta, field)
  if (isToMany(path.property)) refuse(`field '${field}'`, 'has many values; ask whether one exists')
  const one = (given: unknown) => operandOf(`field '${field}'`, path.property, given)
  switch (operator) {
    case 'in':
    case 'notIn': {
      if (!Array.isArray(value)) refuse(`'${operator}' of field '${field}'`, 'takes a list of values')
      return comparing(path, { [operator === 'in' ? '$in' : '$nin']: value.map(one) })
    }
    case 'between': {
      if (!Array.isArray(value) || value.length !== 2) {
        refuse(`'between' of field '${field}'`, 'takes a list of two values')
      }
      return comparing(path, { $gte: one(value[0]), $lte: one(value[1]) })
    }
    case 'contains':
    case 'startsWith': {
      if (typeof value !== 'string') refuse(`'${operator}' of field '${field}'`, 'takes a string')
      const mode = operator === 'contains' ? 'contains' : 'prefix'
      return nest(path, like(context, path, value, false, mode))
    }
    default: {
      const compared = Object.hasOwn(COMPARISONS, operator) ? COMPARISONS[operator] : undefined
      if (compared === undefined) refuse(`'${String(operator)}'`, 'is no operator of a comparison')
      if (value === null && compared !== '$eq' && compared !== '$ne') {
        refuse(`'${operator}' of field '${field}'`, 'cannot be answered for null; use isNull or notNull')
      }
      return comparing(path, { [compared]: value === null ? null : one(value) })
    }
  }
}

function like(
  { platform, qualified = true }: QueryContext,
  path: FieldPath,
  text: string,
  ignoreCase: boolean,
  mode: 'contains' | 'prefix',
): Where {
  const isNested = path.through.some(isRelation)
  return likeCondition(platform, path.property, text, { mode, ignoreCase, qualified: qualified || isNested })
}

function comparing(path: FieldPath, operators: Where): Where {
  return nest(path, { [path.property.name]: operators })
}

/** Puts a condition behind the relations of a path. Of a relation to many, one row is enough. */
function nest(path: FieldPath, condition: Where): Where {
  return steps(path).reduceRight<Where>(
    (inner, property) => ({ [property.name]: isToMany(property) ? { $some: inner } : inner }),
    condition,
  )
}

/** What a path goes through. The columns of an embedded object are columns of the row, under a name of their own. */
function steps({ through }: FieldPath): EntityProperty[] {
  return through.filter(({ kind, object }) => kind !== ReferenceKind.EMBEDDED || object)
}

function orderTerm(meta: EntityMetadata, field: string, direction: SortOrder): OrderTerm {
  const path = fieldAt(meta, field, 'to order by')
  const { through, property } = path
  if (property.kind === ReferenceKind.EMBEDDED)
    refuse(`field '${field}'`, 'is an object; name one of its fields')
  if ([...through, property].some(isToMany)) {
    refuse(`field '${field}'`, 'has many values for one row, so rows cannot be ordered by it')
  }
  return steps(path).reduceRight<OrderTerm>((inner, { name }) => ({ [name]: inner }), {
    [property.name]: direction,
  })
}

function all(conditions: readonly Where[]): Where {
  const restricting = conditions.filter(one => !isEmpty(one))
  if (restricting.length === 0) return {}
  return restricting.length === 1 ? (restricting[0] as Where) : { $and: restricting }
}

/** Satisfied by no row. */
const NEVER = (meta: EntityMetadata): Where => ({ [meta.primaryKeys[0] as string]: { $in: [] } })

function refuse(what: string, problem: string): never {
  throw new errors.SQLA_ERR_INVALID_FILTER(what, problem)
}
