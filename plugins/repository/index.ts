export {
  type ColumnListOptions,
  type Columns,
  type ColumnsOptions,
  columnsAsDict,
  loadedColumnsAsDict,
  loadedColumnsAsList,
} from './as-dict.ts'
export { type ClientError, type ClientErrorCode, isClientError, toClientError } from './constraint-errors.ts'
export { type CrudOptions, type CrudRoute, registerCrud } from './crud.ts'
export { databaseErrors } from './database-errors.ts'
export type { MetadataSource } from './database-names.ts'
export { errors, errorTable } from './errors.ts'
export type { Field, FieldName, FieldsOf } from './fields.ts'
export { type FilterQuery, filterQuery, type QueryOf } from './filter-query.ts'
export type {
  FilterQueryConfig,
  OrderByConfig,
  PaginationConfig,
  SearchConfig,
} from './filter-query-config.ts'
export {
  type Arrangement,
  beforeAfter,
  type ComparisonOperator,
  type Condition,
  collection,
  comparison,
  exists,
  type Filter,
  filterGroup,
  isNull,
  limitOffset,
  notExists,
  notInCollection,
  notInSearch,
  notNull,
  onBeforeAfter,
  orderBy,
  type SortOrder,
  search,
} from './filters.ts'
export {
  type AuditOptions,
  type Auditor,
  auditColumns,
  type BigintMode,
  type BigintPrimaryOptions,
  bigintPrimary,
  type UuidPrimaryOptions,
  uuidPrimary,
  valuesOnUpdate,
} from './fragments.ts'
export { nameConstraints, SqlAssistNamingStrategy } from './naming-strategy.ts'
export { type CursorPage, cursorPageSchema, type OffsetPage, offsetPageSchema } from './pages.ts'
export type { FilterQuerySchema, ParameterSchema } from './query-parameters.ts'
export {
  type ConditionFor,
  type FilterFor,
  type LockOptions,
  Repository,
  type RepositoryOptions,
} from './repository.ts'
export { Service } from './service.ts'
export {
  type PageOptions,
  type RangeOptions,
  type SimilarOptions,
  type TextField,
  utilities,
} from './utilities.ts'
export { uuidv7 } from './uuid.ts'
export type { ValueSchema } from './value-readers.ts'
