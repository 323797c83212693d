import type { Primary } from '@mikro-orm/core'
import { errors } from '../../src/index.ts'
import type { FieldName, FieldsOf } from './fields.ts'
import type { SortOrder } from './filters.ts'

/** What the values of a field are in a query string; never: it has none. */
type Sent<V> = V extends boolean
  ? boolean
  : V extends string | number
    ? V
    : V extends Date | bigint
      ? string
      : never

/** The value of a field of that name. */
type ValueOf<T, Name> = Extract<FieldsOf<T>, { readonly name: Name }>['value']

/** The names of the fields with values of a type. */
type NamesOf<T, V> =
  FieldsOf<T> extends infer F
    ? F extends { readonly name: infer Name extends string; readonly value: infer Value }
      ? [Value] extends [V]
        ? Name
        : never
      : never
    : never

/** The names of the fields that a query string can have values of. */
type SentNames<T> =
  FieldsOf<T> extends infer F
    ? F extends { readonly name: infer Name extends string; readonly value: infer Value }
      ? [Sent<Value>] extends [never]
        ? never
        : Name
      : never
    : never

/** `true` for the field that usually is it, where the entity has one of that name. */
type Usual<T, Name extends string, V> = NamesOf<T, V> | (Name extends NamesOf<T, V> ? true : never)

/** What a query string may ask for. Names of fields are typed; `author.name` reaches over a relation. */
export interface FilterQueryConfig<T> {
  /** `ids`: rows with one of these keys. `true`: the primary key, or the name of another field. */
  readonly ids?: true | SentNames<T>
  /** `createdBefore`, `createdAfter`: the field `createdAt`, or another one. */
  readonly createdAt?: Usual<T, 'createdAt', Date | string>
  /** `updatedBefore`, `updatedAfter`: the field `updatedAt`, or another one. */
  readonly updatedAt?: Usual<T, 'updatedAt', Date | string>
  /** `currentPage`, `pageSize`. `true`: 20 rows a page, at most 100. Without it all rows are answered. */
  readonly pagination?: true | PaginationConfig
  /** `searchString`, `searchIgnoreCase`: a text that one of these fields contains. */
  readonly search?: readonly NamesOf<T, string>[] | SearchConfig<NamesOf<T, string>>
  /** `orderBy`, `sortOrder`: by one of these fields; by the first, ascending, when nothing is asked. */
  readonly orderBy?: readonly FieldName<T>[] | OrderByConfig<FieldName<T>>
  /** `statusIn` and so on: one of these values. */
  readonly in?: readonly SentNames<T>[]
  /** `statusNotIn` and so on: none of these values. */
  readonly notIn?: readonly SentNames<T>[]
  /** `active=true` and so on. */
  readonly booleans?: readonly NamesOf<T, boolean>[]
  /** `status=open` and so on: one of the listed values, or several of them. `true`: all of the field's enum. */
  readonly choices?: { readonly [Name in SentNames<T>]?: true | readonly Sent<ValueOf<T, Name>>[] }
  /** How many values a list may have. Default 100, at most 1,000. */
  readonly maxItems?: number
}

export interface PaginationConfig {
  /** Rows on a page when nothing is asked. Default 20. */
  readonly pageSize?: number
  /** Rows on a page that may be asked for. Default 100, at most 10,000. */
  readonly maxPageSize?: number
}

export interface SearchConfig<Name extends string> {
  readonly fields: readonly Name[]
  /** `searchIgnoreCase` when nothing is asked. Default false. */
  readonly ignoreCase?: boolean
}

export interface OrderByConfig<Name extends string> {
  readonly fields: readonly Name[]
  /** `orderBy` when nothing is asked. Default: the first of the fields. */
  readonly default?: Name
  /** `sortOrder` when nothing is asked. Default `'asc'`. */
  readonly sortOrder?: SortOrder
}

/** Makes names that are no option an error of the compiler. */
export type Only<C, Known> = { readonly [K in Exclude<keyof C, keyof Known>]: never }

/** `author.name` → `authorName` */
type Camel<Path extends string> = Path extends `${infer First}.${infer Rest}`
  ? `${First}${Capitalize<Camel<Rest>>}`
  : Path

type Listed<C> = C extends readonly (infer Name extends string)[] ? Name : never
type FieldsAsked<C> = C extends { readonly fields: infer Names } ? Listed<Names> : Listed<C>

/** `request.query` behind the schema of a {@link FilterQueryConfig}. */
export type QueryOfConfig<T, C> = Flat<
  (C extends { readonly ids: infer Key }
    ? { ids?: Sent<Key extends true ? Primary<T> : ValueOf<T, Key>>[] }
    : unknown) &
    (C extends { readonly createdAt: unknown }
      ? { createdBefore?: string; createdAfter?: string }
      : unknown) &
    (C extends { readonly updatedAt: unknown }
      ? { updatedBefore?: string; updatedAfter?: string }
      : unknown) &
    (C extends { readonly pagination: unknown } ? { currentPage: number; pageSize: number } : unknown) &
    (C extends { readonly search: unknown }
      ? { searchString?: string; searchIgnoreCase: boolean }
      : unknown) &
    (C extends { readonly orderBy: infer Order }
      ? { orderBy: FieldsAsked<Order>; sortOrder: SortOrder }
      : unknown) &
    (C extends { readonly in: infer Names }
      ? { [Name in Listed<Names> as `${Camel<Name>}In`]?: Sent<ValueOf<T, Name>>[] }
      : unknown) &
    (C extends { readonly notIn: infer Names }
      ? { [Name in Listed<Names> as `${Camel<Name>}NotIn`]?: Sent<ValueOf<T, Name>>[] }
      : unknown) &
    (C extends { readonly booleans: infer Names }
      ? { [Name in Listed<Names> as Camel<Name>]?: boolean }
      : unknown) &
    (C extends { readonly choices: infer Choices }
      ? {
          [Name in keyof Choices & string as Camel<Name>]?: (Choices[Name] extends readonly (infer V)[]
            ? V
            : Sent<ValueOf<T, Name>>)[]
        }
      : unknown)
>

/** One object type, as an editor shows it. */
type Flat<Q> = { [K in keyof Q]: Q[K] }

/** The config, without what the compiler would have refused, and with its defaults. */
export interface ResolvedConfig {
  readonly ids: string | true | undefined
  readonly createdAt: string | undefined
  readonly updatedAt: string | undefined
  readonly pagination: Required<PaginationConfig> | undefined
  readonly search: Required<SearchConfig<string>> | undefined
  readonly orderBy: Required<OrderByConfig<string>> | undefined
  readonly in: readonly string[]
  readonly notIn: readonly string[]
  readonly booleans: readonly string[]
  readonly choices: Readonly<Record<string, true | readonly (string | number)[]>>
  readonly maxItems: number
}

/** The largest page number. With the largest page, the number of rows before it is one that JavaScript counts exactly. */
export const LAST_PAGE = 1_000_000_000
const MOST_ON_PAGE = 10_000
const MOST_ITEMS = 1_000

const KNOWN = 'ids createdAt updatedAt pagination search orderBy in notIn booleans choices maxItems'.split(
  ' ',
)

/** @throws SQLA_ERR_INVALID_OPTION */
export function resolveConfig(config: object): ResolvedConfig {
  const given = objectOf('the config', config, KNOWN) as Record<keyof ResolvedConfig, unknown>
  const { maxItems = 100 } = given
  return {
    ids: given.ids === true ? true : fieldOf('ids', given.ids, 'ids'),
    createdAt: fieldOf('createdAt', given.createdAt),
    updatedAt: fieldOf('updatedAt', given.updatedAt),
    pagination: paginationOf(given.pagination),
    search: searchOf(given.search),
    orderBy: orderByOf(given.orderBy),
    in: namesOf('in', given.in),
    notIn: namesOf('notIn', given.notIn),
    booleans: namesOf('booleans', given.booleans),
    choices:
      given.choices === undefined ? {} : (objectOf('choices', given.choices) as ResolvedConfig['choices']),
    maxItems: wholeOf('maxItems', maxItems, MOST_ITEMS),
  }
}

function paginationOf(given: unknown): ResolvedConfig['pagination'] {
  if (given === undefined) return undefined
  const known = ['pageSize', 'maxPageSize']
  const { pageSize = 20, maxPageSize = 100 } = given === true ? {} : objectOf('pagination', given, known)
  const most = wholeOf('pagination.maxPageSize', maxPageSize, MOST_ON_PAGE)
  return { maxPageSize: most, pageSize: wholeOf('pagination.pageSize', pageSize, most) }
}

function searchOf(given: unknown): ResolvedConfig['search'] {
  if (given === undefined) return undefined
  const object = Array.isArray(given)
    ? { fields: given }
    : objectOf('search', given, ['fields', 'ignoreCase'])
  const { fields, ignoreCase = false } = object as Record<string, unknown>
  if (typeof ignoreCase !== 'boolean') refuseOption('search.ignoreCase', 'must be true or false')
  return { fields: namesOf('search', fields, 1), ignoreCase }
}

function orderByOf(given: unknown): ResolvedConfig['orderBy'] {
  if (given === undefined) return undefined
  const known = ['fields', 'default', 'sortOrder']
  const object = Array.isArray(given) ? { fields: given } : objectOf('orderBy', given, known)
  const fields = namesOf('orderBy', (object as Record<string, unknown>).fields, 1)
  const { default: first = fields[0], sortOrder = 'asc' } = object as Record<string, unknown>
  if (!fields.includes(first as string)) refuseOption('orderBy.default', 'must be one of its fields')
  if (sortOrder !== 'asc' && sortOrder !== 'desc') {
    refuseOption('orderBy.sortOrder', "must be 'asc' or 'desc'")
  }
  return { fields, default: first as string, sortOrder }
}

function objectOf(option: string, given: unknown, known?: readonly string[]): Record<string, unknown> {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    refuseOption(option, 'must be an object')
  const unknown = known && Object.keys(given).find(name => !known.includes(name))
  if (unknown !== undefined) refuseOption(unknown, `is none; there are: ${known?.join(', ')}`)
  return given as Record<string, unknown>
}

function fieldOf(option: string, given: unknown, usual = option): string | undefined {
  if (given === undefined) return undefined
  const name = given === true ? usual : given
  if (typeof name !== 'string') refuseOption(option, 'must be true or the name of a field')
  return name
}

function namesOf(option: string, given: unknown, fewest = 0): readonly string[] {
  if (given === undefined && fewest === 0) return []
  const fine = Array.isArray(given) && given.length >= fewest && given.every(name => typeof name === 'string')
  if (!fine) refuseOption(option, 'must be an array of names of fields')
  return [...new Set<string>(given)]
}

function wholeOf(option: string, given: unknown, most: number): number {
  const fine = Number.isInteger(given) && (given as number) >= 1 && (given as number) <= most
  if (!fine) refuseOption(option, `must be a whole number from 1 to ${most}`)
  return given as number
}

export function refuseOption(option: string, problem: string): never {
  throw new errors.SQLA_ERR_INVALID_OPTION(`filterQuery: ${option}`, problem)
}
