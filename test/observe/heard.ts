import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { type DiagnosticMessages, observe } from '../../src/index.ts'

export type ChannelName = keyof DiagnosticMessages

/** What one application has said. */
export interface Heard {
  readonly all: { readonly name: ChannelName; readonly message: DiagnosticMessages[ChannelName] }[]
  of<Name extends ChannelName>(name: Name): DiagnosticMessages[Name][]
  forget(): void
}

/** Hears channels until `t` ends. */
export function hear(t: Test, app: FastifyInstance, names: readonly ChannelName[]): Heard {
  const all: Heard['all'] = []
  for (const name of names) {
    const stop = observe(name, message => {
      if (message.source === app.sqlAssist) all.push({ name, message })
    })
    t.teardown(stop)
  }
  return {
    all,
    of: name => all.flatMap(one => (one.name === name ? [one.message as never] : [])),
    forget: () => {
      all.length = 0
    },
  }
}
