import { type Channel, channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { DiagnosticMessages } from './messages.ts'

/** A channel of Node's `diagnostics_channel` whose messages are known. Ask `hasSubscribers` before a message is made: that is free. */
interface TypedChannel<M> extends Pick<Channel, 'hasSubscribers'> {
  publish(message: M): void
}

function open<Name extends keyof DiagnosticMessages>(name: Name): TypedChannel<DiagnosticMessages[Name]> {
  return channel(name)
}

export const sessionStart = open('sqlassist:session:start')
export const sessionFirstSql = open('sqlassist:session:first-sql')
export const sessionCommit = open('sqlassist:session:commit')
export const sessionRollback = open('sqlassist:session:rollback')
export const sessionClose = open('sqlassist:session:close')
export const statementStart = open('sqlassist:statement:start')
export const statementEnd = open('sqlassist:statement:end')
export const statementError = open('sqlassist:statement:error')
export const outcomes = open('sqlassist:outcome')
export const routes = open('sqlassist:route')
export const replicaTransitions = open('sqlassist:replica')
export const poolWaits = open('sqlassist:pool:wait')
export const twoPhaseSteps = open('sqlassist:two-phase')
export const inDoubts = open('sqlassist:in-doubt')
export const leaks = open('sqlassist:leak')

/**
 * Subscribes to one of the channels, with its messages' type. The listener runs inside the request that it hears of, so it should
 * be quick; what it throws becomes an uncaught exception, as with every diagnostics channel.
 *
 * @returns ends the subscription
 *
 * @example
 * ```ts
 * const stop = observe('sqlassist:statement:end', ({ engine, server, sql, duration }) => {
 *   if (duration > 100) console.warn(engine, server.name, Math.round(duration), sql)
 * })
 * app.addHook('onClose', stop)
 * ```
 */
export function observe<Name extends keyof DiagnosticMessages>(
  name: Name,
  listener: (message: DiagnosticMessages[Name]) => void,
): () => void {
  const hear = (message: unknown): void => listener(message as DiagnosticMessages[Name])
  subscribe(name, hear)
  return () => {
    unsubscribe(name, hear)
  }
}
