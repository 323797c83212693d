/** Something that has happened to an aggregate. */
export interface DomainEvent<Data = unknown> {
  /** Of the aggregate: a UUID. */
  readonly originatorId: string
  /** Of the aggregate, once the event has happened; the first is 1. */
  readonly originatorVersion: number
  /** What kind of event it is: `Dog.Registered`. */
  readonly topic: string
  /** When it happened. */
  readonly timestamp: Date
  readonly data: Data
}

/** An event that has been recorded. */
export interface RecordedEvent<Data = unknown> extends DomainEvent<Data> {
  /** Its place in the log. */
  readonly id: number
}
