import type { EntityName } from '@mikro-orm/core'
import { errors } from './errors.ts'
import type { FieldsOf } from './fields.ts'
import {
  type FilterQueryConfig,
  type Only,
  type QueryOfConfig,
  refuseOption,
  resolveConfig,
} from './filter-query-config.ts'
import { partsOf } from './filter-query-parts.ts'
import type { Filter } from './filters.ts'
import type { FilterQuerySchema, Parameter } from './query-parameters.ts'

/** For the compiler: what `request.query` is behind the schema. */
declare const kQuery: unique symbol

/** A query string as filters: its description, and its parser. */
export interface FilterQuery<T, Query = unknown> {
  /** The JSON schema for a route's `schema.querystring`, which @fastify/swagger shows. */
  readonly querystring: FilterQuerySchema
  /**
   * Reads the filters. What `querystring` describes but has not been validated is checked here too; parameters that it
   * does not describe are ignored.
   *
   * @param query `request.query`, or any object of names and values
   * @throws SQLA_ERR_INVALID_FILTER (400) a parameter is not what it must be
   * @throws SQLA_ERR_UNKNOWN_FIELD (400) `orderBy` is none of the fields that are allowed
   */
  parse(query: unknown): Filter<FieldsOf<T>>[]
  readonly [kQuery]?: Query
}

/**
 * The type of `request.query` behind the schema of a {@link filterQuery}.
 *
 * @example
 * ```ts
 * app.get<{ Querystring: QueryOf<typeof authorFilters> }>('/authors', …)
 * ```
 */
export type QueryOf<F> = F extends { readonly [kQuery]?: infer Query } ? Query : never

/**
 * Declares once what a query string may ask for: `querystring` is the JSON schema of the route, so that Fastify
 * validates and Swagger shows it, and `parse` turns `request.query` into filters of a repository. The names of the
 * parameters are those of Advanced Alchemy's filter dependencies. It needs no MikroORM: the types of the columns are
 * what the entity was declared with.
 *
 * @param entity what `defineEntity` returned, or the class that was given to its `setClass`
 * @param config which parameters there are
 * @throws SQLA_ERR_UNKNOWN_FIELD a name is no field of the entity
 * @throws SQLA_ERR_INVALID_OPTION an option is wrong, or a field is of a type that it cannot be used for
 *
 * @example
 * ```ts
 * const authorFilters = filterQuery(Author, { pagination: true, search: ['name'], orderBy: ['name', 'createdAt'] })
 *
 * app.get('/authors', { schema: { querystring: authorFilters.querystring } }, request =>
 *   new Repository(Author, request.db.reader).list(...authorFilters.parse(request.query)))
 * // GET /authors?searchString=ada&orderBy=createdAt&sortOrder=desc&currentPage=2
 * ```
 */
export function filterQuery<T extends object, const C extends FilterQueryConfig<T>>(
  entity: EntityName<T>,
  config: C & Only<C, FilterQueryConfig<T>>,
): FilterQuery<T, QueryOfConfig<T, C>> {
  const parts = partsOf(entity as EntityName<object>, resolveConfig(config))
  const properties: Record<string, Parameter['schema']> = {}
  for (const { name, schema } of parts.flatMap(part => part.parameters)) {
    if (Object.hasOwn(properties, name)) refuseOption('the config', `says the parameter '${name}' twice`)
    properties[name] = schema
  }
  return {
    querystring: { type: 'object', properties, additionalProperties: false },
    parse(query = {}) {
      if (typeof query !== 'object' || query === null || Array.isArray(query)) {
        throw new errors.SQLA_ERR_INVALID_FILTER('the query', 'must be an object of names and values')
      }
      const given = query as Record<string, unknown>
      const read = (parameter: Parameter) =>
        parameter.read(Object.hasOwn(given, parameter.name) ? given[parameter.name] : undefined)
      return parts.flatMap(part => part.filters(...part.parameters.map(read))) as Filter<FieldsOf<T>>[]
    },
  }
}
