import type { PluginMessages } from './hearing.ts'
import type { SubscriptionRecord } from './records.ts'
import { shownMessage } from './shown-error.ts'
import { cut } from './texts.ts'

/** Names are the application's, and it may make them up. */
const MOST = 500

/** What each subscription has said last. */
export class SubscriptionList {
  readonly #parameters: boolean
  readonly #byName = new Map<string, SubscriptionRecord>()

  constructor(parameters: boolean) {
    this.#parameters = parameters
  }

  note({ name, position, state, error }: PluginMessages['sqlassist:subscription']): void {
    const known = cut(name, 500)
    this.#byName.set(known, {
      name: known,
      position,
      state,
      error: error === undefined ? undefined : shownMessage(error, this.#parameters),
      at: Date.now(),
    })
    if (this.#byName.size <= MOST) return
    const [oldest] = this.#byName.keys()
    this.#byName.delete(oldest as string)
  }

  /** By name. */
  list(): readonly SubscriptionRecord[] {
    return [...this.#byName.values()].sort((a, b) => a.name.localeCompare(b.name))
  }
}
