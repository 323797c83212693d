/** An event as a row of the table has it. */
export interface StoredEvent {
  /** Of the aggregate: a UUID. */
  readonly originatorId: string
  /** Of the aggregate, once the event has happened; the first is 1. */
  readonly originatorVersion: number
  /** What kind of event it is: `Dog.Registered`. */
  readonly topic: string
  /** What is in it, as the mapper has written it. */
  readonly state: Uint8Array
}

/** An event that has been recorded. */
export interface Notification extends StoredEvent {
  /** Its place in the log. */
  readonly id: number
}

/** How far somebody has come who follows a log. */
export interface Tracking {
  /** Who follows: a projection's name, say. */
  readonly applicationName: string
  readonly notificationId: number
}

/** Which events of an aggregate, and in which order. */
export interface SelectEventsOptions {
  /** Only those of later versions. */
  readonly gt?: number
  /** Only those up to this version. */
  readonly lte?: number
  /** The last first. */
  readonly desc?: boolean
  /** At most so many. */
  readonly limit?: number
}

/** Which notifications of a log. */
export interface SelectNotificationsOptions {
  /** Where to begin. Default: at the first. */
  readonly start?: number
  /** At most so many. */
  readonly limit: number
  /** Where to end, inclusive. Default: at the last. */
  readonly stop?: number
  /** Only those of these topics. Default: of all. */
  readonly topics?: readonly string[]
  /** Whether the notification `start` itself counts. Default true. */
  readonly inclusiveOfStart?: boolean
}
