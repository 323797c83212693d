import type { FastifyInstance } from 'fastify'
import { type Diagnostic, type DiagnosticMessages, observe } from '../../src/index.ts'

/** What is done with the messages of each channel. */
export type Listeners = {
  readonly [Name in keyof DiagnosticMessages]?: (message: DiagnosticMessages[Name]) => void
}

/**
 * Hears the messages about one application, of all those in the process, until it is closed. What a listener throws is logged: a
 * figure that cannot be written down is no reason to end a process.
 *
 * @param who listens, for the log
 */
export function observeOwn(app: FastifyInstance, who: string, listeners: Listeners): void {
  const { sqlAssist, log } = app
  const names = Object.keys(listeners) as (keyof DiagnosticMessages)[]
  const stops = names.map(name => {
    const listener = listeners[name] as (message: Diagnostic) => void
    return observe(name, message => {
      if (message.source !== sqlAssist) return
      try {
        listener(message)
      } catch (error) {
        log.warn({ err: error, channel: name }, `${who} has failed with a message`)
      }
    })
  })
  app.addHook('onClose', async () => {
    for (const stop of stops) stop()
  })
}
