import type { EntityName } from '@mikro-orm/core'
import { type DeclaredField, declaredField, primaryKeyOf, schemaOf } from './declared-fields.ts'
import { errors } from './errors.ts'
import type { Field, Purpose } from './fields.ts'
import { LAST_PAGE, type ResolvedConfig, refuseOption } from './filter-query-config.ts'
import { isOrderable, isText, valueReaderOf } from './filter-query-values.ts'
import {
  beforeAfter,
  collection,
  comparison,
  type Filter,
  limitOffset,
  notInCollection,
  orderBy,
  type SortOrder,
  search,
} from './filters.ts'
import { list, type Parameter, single } from './query-parameters.ts'
import { booleanReader, integerReader, oneOfReader, textReader, type ValueReader } from './value-readers.ts'

/** Longer texts make patterns that SQLite refuses, and nobody types them. */
const LONGEST_SEARCH = 255

type AnyFilter = Filter<Field<string, unknown>>

/** Some parameters, and what filters they are together. */
export interface Part {
  readonly parameters: readonly Parameter[]
  filters(...values: unknown[]): AnyFilter[]
}

/**
 * @throws SQLA_ERR_UNKNOWN_FIELD, SQLA_ERR_INVALID_OPTION
 */
export function partsOf(entity: EntityName<object>, config: ResolvedConfig): Part[] {
  const schema = schemaOf(entity)
  const field = (path: string, purpose: Purpose = 'to filter by') => declaredField(schema, path, purpose)
  const lists = (option: 'in' | 'notIn', suffix: string, words: string) =>
    config[option].map(path => {
      const reader = readerOf(option, field(path))
      const name = camel(path) + suffix
      return listPart(list(name, `${path} is ${words} these values.`, reader, config.maxItems), values =>
        (option === 'in' ? collection : notInCollection)(path, values),
      )
    })
  const { ids, createdAt, updatedAt, pagination, search: searching, orderBy: order } = config
  const parts: (Part | undefined)[] = [
    ids === undefined ? undefined : idsPart(ids === true ? keyOf(entity) : ids, config.maxItems, field),
    createdAt === undefined ? undefined : timePart('created', field(createdAt)),
    updatedAt === undefined ? undefined : timePart('updated', field(updatedAt)),
    ...lists('in', 'In', 'one of'),
    ...lists('notIn', 'NotIn', 'none of'),
    ...config.booleans.map(path => booleanPart(field(path))),
    ...Object.entries(config.choices).map(([path, choices]) =>
      choicePart(field(path), choices, config.maxItems),
    ),
    searching && searchPart(searching, path => field(path, 'to search in')),
    order && orderPart(schema.meta.className, order, path => field(path, 'to order by')),
    pagination && pagePart(pagination),
  ]
  return parts.filter(part => part !== undefined)
}

type FindField = (path: string) => DeclaredField

function keyOf(entity: EntityName<object>): string {
  return (
    primaryKeyOf(schemaOf(entity)) ?? refuseOption('ids', 'cannot be true: the primary key is not one field')
  )
}

function idsPart(path: string, maxItems: number, field: FindField): Part {
  const reader = readerOf('ids', field(path))
  return listPart(list('ids', `${path} is one of these values.`, reader, maxItems), values =>
    collection(path, values),
  )
}

function listPart(parameter: Parameter, filter: (values: unknown[]) => AnyFilter): Part {
  return {
    parameters: [parameter],
    filters: values => (values === undefined ? [] : [filter(values as unknown[])]),
  }
}

function timePart(prefix: 'created' | 'updated', { path, property }: DeclaredField): Part {
  const reader = valueReaderOf(property)
  if (reader?.schema.format !== 'date-time' && reader?.schema.format !== 'date') {
    refuseOption(`${prefix}At`, `has '${path}', which is no date`)
  }
  const moment = reader.schema.format === 'date' ? 'day' : 'moment'
  return {
    parameters: [
      single(`${prefix}Before`, `${path} is before this ${moment}.`, reader),
      single(`${prefix}After`, `${path} is after this ${moment}.`, reader),
    ],
    filters: (before, after) =>
      before === undefined && after === undefined
        ? []
        : [beforeAfter<string, unknown>(path, { before, after })],
  }
}

function booleanPart({ path, property }: DeclaredField): Part {
  if (valueReaderOf(property)?.schema.type !== 'boolean') {
    refuseOption('booleans', `has '${path}', which is no boolean`)
  }
  return {
    parameters: [single(camel(path), `${path} is true, or is false.`, booleanReader())],
    filters: value => (value === undefined ? [] : [comparison(path, 'eq', value)]),
  }
}

function choicePart(field: DeclaredField, choices: unknown, maxItems: number): Part {
  const { path, property } = field
  const known = valueReaderOf(property)
  let reader: ValueReader | undefined
  if (choices === true) reader = property.enum ? known : undefined
  else if (Array.isArray(choices)) reader = oneOfReader(choices, known)
  if (reader === undefined) {
    const problem = property.enum
      ? 'must be true, or some of its values'
      : 'must be a list of values that it can have, either texts or numbers'
    refuseOption(`choices.${path}`, problem)
  }
  return listPart(list(camel(path), `${path} is one of these values.`, reader, maxItems), values =>
    collection(path, values),
  )
}

function searchPart({ fields, ignoreCase }: NonNullable<ResolvedConfig['search']>, field: FindField): Part {
  for (const path of fields) {
    if (!isText(field(path).property)) refuseOption('search', `has '${path}', which is no text`)
  }
  return {
    parameters: [
      single(
        'searchString',
        `One of these contains this text: ${fields.join(', ')}.`,
        textReader(LONGEST_SEARCH),
      ),
      single(
        'searchIgnoreCase',
        'Whether a and A are the same in searchString.',
        booleanReader(),
        ignoreCase,
      ),
    ],
    // An empty field of a form asks for nothing.
    filters: (text, ignore) =>
      text === undefined || text === ''
        ? []
        : [search(fields, text as string, { ignoreCase: ignore as boolean })],
  }
}

function orderPart(
  className: string,
  { fields, default: first, sortOrder }: NonNullable<ResolvedConfig['orderBy']>,
  field: FindField,
): Part {
  for (const path of fields) {
    const { many, property } = field(path)
    if (many || !isOrderable(property)) refuseOption('orderBy', `has '${path}', which has no order`)
  }
  const names = oneOfReader(fields) as ValueReader
  const { read } = names
  const known: ValueReader = {
    ...names,
    read: value => {
      const name = read(value)
      if (name !== undefined || typeof value !== 'string') return name
      const said = value.length > 60 ? `${value.slice(0, 60)}…` : value
      throw new errors.SQLA_ERR_UNKNOWN_FIELD(className, said, 'to order by', fields.join(', '))
    },
  }
  return {
    parameters: [
      single('orderBy', 'The field that the rows are ordered by.', known, first),
      single('sortOrder', 'Ascending or descending.', oneOfReader(['asc', 'desc']) as ValueReader, sortOrder),
    ],
    filters: (name, direction) => [orderBy(name as string, direction as SortOrder)],
  }
}

function pagePart({ pageSize, maxPageSize }: NonNullable<ResolvedConfig['pagination']>): Part {
  return {
    parameters: [
      single('currentPage', 'The page, from 1.', integerReader(1, LAST_PAGE), 1),
      single('pageSize', 'How many rows a page has at most.', integerReader(1, maxPageSize), pageSize),
    ],
    filters: (page, size) => [limitOffset(size as number, ((page as number) - 1) * (size as number))],
  }
}

function readerOf(option: string, { path, property }: DeclaredField): ValueReader {
  return (
    valueReaderOf(property) ??
    refuseOption(option, `has '${path}', whose type does not say which values it has; list them as choices`)
  )
}

/** `author.name` → `authorName` */
function camel(path: string): string {
  return path.replace(/\.(.)/g, (_dot, first: string) => first.toUpperCase())
}
