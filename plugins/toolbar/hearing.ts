import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { DiagnosticMessages } from '../../src/index.ts'

/** What other plugins publish. They are not imported: an application that does not use them does not load them. */
export interface PluginMessages {
  'sqlassist:flag': { request: unknown; name: string; value: unknown }
  'sqlassist:segments': { request: unknown; keys: string[] }
  'sqlassist:events': {
    request: unknown
    events: { topic: string; originatorId: string; originatorVersion: number }[]
  }
  'sqlassist:subscription': {
    name: string
    position: string | undefined
    state: 'running' | 'waiting' | 'stopped' | 'failed'
    error: string | undefined
  }
}

type Listeners<Messages> = { readonly [Name in keyof Messages]?: (message: Messages[Name]) => void }

/**
 * Listens to channels, and only to what one application says.
 *
 * @param source its `app.sqlAssist`: a process may have several applications
 * @param log is told once when a listener fails: what it throws would end the process
 * @returns end the subscriptions
 */
export function hearing(
  source: object,
  log: { warn(line: object, text: string): void },
  ...listeners: [Listeners<DiagnosticMessages>, Listeners<PluginMessages>]
): (() => void)[] {
  let hasFailed = false
  return listeners.flatMap(Object.entries).map(([name, listener]) => {
    const hear = (message: unknown): void => {
      if ((message as { source?: unknown }).source !== source) return
      try {
        listener(message)
      } catch (error) {
        if (!hasFailed) log.warn({ err: error, channel: name }, 'the toolbar could not record something')
        hasFailed = true
      }
    }
    subscribe(name, hear)
    return () => {
      unsubscribe(name, hear)
    }
  })
}
