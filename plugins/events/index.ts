export { Aggregate, type AggregateClass, type AnyAggregate } from './aggregate.ts'
export type { AggregateRepository, GetOptions } from './aggregate-repository.ts'
export { Application, type ApplicationLog, type ApplicationOptions } from './application.ts'
export type { Applier, Appliers, DataOf, VersionedApplier } from './appliers.ts'
export { type AesGcmOptions, aesGcm, type Cipher } from './cipher.ts'
export {
  type BrotliOptions,
  brotli,
  type Compressor,
  type CompressorOptions,
  type DeflateOptions,
  deflate,
} from './compressor.ts'
export { createEventTables, type EventStorageOptions, eventTableStatements } from './create-tables.ts'
export { Datastore } from './datastore.ts'
export type { EventsMessage, SubscriptionMessage } from './diagnostics.ts'
export type { DomainEvent, RecordedEvent } from './domain-event.ts'
export {
  type EmmettAppendResult,
  type EmmettEventStore,
  type EmmettEventStoreOptions,
  emmettEventStore,
} from './emmett.ts'
export { type EmmettEventMetadata, emmettEventOf } from './emmett-events.ts'
export { AggregateNotFoundError, errors, errorTable, OriginatorVersionConflictError } from './errors.ts'
export { EventStore, type Recording } from './event-store.ts'
export { followers } from './followers.ts'
export { Log, type LogOptions } from './log.ts'
export { Mapper, type MapperOptions } from './mapper.ts'
export type { NotificationLog, Section, SelectLogOptions } from './notification-log.ts'
export { Outbox, type OutboxMessage, type OutboxOptions } from './outbox.ts'
export { type EventsApplication, type EventsOptions, events, type SqlAssistEvents } from './plugin.ts'
export {
  type FollowOptions,
  ProcessApplication,
  ProcessingEvent,
  type ProcessRunner,
} from './process-application.ts'
export { Projection, type ProjectionOptions } from './projection.ts'
export { ProjectionRunner, type ProjectionRunnerOptions } from './projection-runner.ts'
export { AggregateRecorder, type AggregateRecorderOptions } from './recorders/aggregate-recorder.ts'
export { ApplicationRecorder, type ApplicationRecorderOptions } from './recorders/application-recorder.ts'
export { type InsertOptions, ProcessRecorder } from './recorders/process-recorder.ts'
export { TrackingRecorder, type TrackingRecorderOptions } from './recorders/tracking-recorder.ts'
export type { RunnerOptions, RunnerState, RunnerStatus, WaitOptions } from './runner.ts'
export type {
  Notification,
  SelectEventsOptions,
  SelectNotificationsOptions,
  StoredEvent,
  Tracking,
} from './stored-event.ts'
export { type SubscribeOptions, Subscription } from './subscription.ts'
export {
  type EventTable,
  type EventTableNames,
  type EventTables,
  type EventTablesOptions,
  eventTables,
  type Ordering,
} from './tables.ts'
export { EventTopics } from './topics.ts'
export { type DecimalClass, decimal, type Transcoding } from './transcodings.ts'
export { NAMESPACE_DNS, NAMESPACE_OID, NAMESPACE_URL, NAMESPACE_X500, uuid5 } from './uuid5.ts'
