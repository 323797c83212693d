import { type Channel, channel } from 'node:diagnostics_channel'
import type { FastifyRequest } from 'fastify'
import type { Reason } from './flag.ts'
import type { JsonValue } from './flag-data.ts'

/** The channel `sqlassist:flag`: somebody has asked for a flag. What is known of whoever asks is not in it. */
export interface FlagMessage {
  /** The `app.sqlAssist` of the application; undefined for a client that belongs to none. */
  readonly source: object | undefined
  /** Whose flags they are; undefined for those of `app.flags.context()`. */
  readonly request: FastifyRequest | undefined
  readonly name: string
  readonly value: JsonValue
  readonly reason: Reason
}

/** Ask `hasSubscribers` before a message is made: that is free. */
export const flagAsked: Pick<Channel, 'hasSubscribers'> & { publish(message: FlagMessage): void } =
  channel('sqlassist:flag')
