export type {
  AdviseOptions,
  IndexAdvice,
  SegmentAdvice,
  SegmentSaving,
  StatisticsAdvice,
} from './advise.ts'
export { Binder, type BinderOptions, type ParameterStyle, type Params } from './binder.ts'
export { ClickHouseDialect, type ClickHouseDialectOptions } from './clickhouse-dialect.ts'
export type { SegmentCount } from './count.ts'
export type { SegmentsMessage } from './diagnostics.ts'
export type { Dialect, Scope, Value } from './dialect.ts'
export { Untranslatable } from './emit.ts'
export { errors, errorTable } from './errors.ts'
export type { EstimateOptions, SegmentEstimate } from './estimate.ts'
export { isContextInSegment } from './evaluate.ts'
export type { SegmentExplanation } from './explain.ts'
export type { UpsertIdentityOptions } from './identities.ts'
export type { MembersOptions, MembersPage } from './members.ts'
export { type SegmentsOptions, segments } from './plugin.ts'
export { PostgresDialect, type PostgresDialectOptions } from './postgres-dialect.ts'
export type { Comparison } from './predicate.ts'
export type { Emitted, PythonRegex } from './python-regex/regex.ts'
export type { SavedSegment } from './saved-segments.ts'
export type {
  Condition,
  EvaluationContext,
  Identity,
  Operator,
  RawJson,
  Rule,
  SegmentContext,
  Traits,
  TraitValue,
} from './segment.ts'
export type { SegmentsEnvironment } from './segment-query.ts'
export type { SegmentEntries } from './segment-registry.ts'
export type { AppSegments, RequestSegments, Segments } from './segments.ts'
export type { StoredIdentity } from './stored-identity.ts'
export { type SegmentTableNames, type SegmentTablesOptions, segmentTableStatements } from './tables.ts'
export { parseTraits, stringifyTraits } from './traits-json.ts'
export {
  type TranslateOptions,
  type Translation,
  type TranslationProblem,
  translateSegment,
  translationProblems,
} from './translate.ts'
export { validateSegment } from './validate.ts'
