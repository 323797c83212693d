import { type Channel, channel } from 'node:diagnostics_channel'
import type { FastifyRequest } from 'fastify'

/** The channel `sqlassist:segments`: it was asked in which segments the sender of a request is. */
export interface SegmentsMessage {
  /** The `app.sqlAssist` of the application. */
  readonly source: object
  readonly request: FastifyRequest
  /** Of the segments that he was found to be in so far: all of them once `keys()` was called. */
  readonly keys: readonly string[]
}

/** Ask `hasSubscribers` before a message is made: that is free. */
export const segmentsFound: Pick<Channel, 'hasSubscribers'> & { publish(message: SegmentsMessage): void } =
  channel('sqlassist:segments')
