import type { SubstituteScope } from '../../src/index.ts'

interface Waiter {
  readonly scope: SubstituteScope
  grant(): void
}

/**
 * Who may use the connection that all share: one request or scope at a time, from its first statement until it holds nothing more.
 * The others stand in line.
 */
export class Turns {
  #holder: SubstituteScope | undefined
  /** How much of it the holder holds: a request may use several engines at once. */
  #held = 0
  #waiters: Waiter[] = []

  get waiting(): number {
    return this.#waiters.length
  }

  /**
   * @param patience milliseconds
   * @param tooLate the error of whoever waits in vain, given who has the turn
   */
  enter(
    scope: SubstituteScope,
    patience: number,
    tooLate: (holder: SubstituteScope) => Error,
  ): Promise<void> {
    if (this.#holder === undefined || this.#holder === scope) {
      this.#holder = scope
      this.#held++
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer)
        this.#waiters = this.#waiters.filter(one => one !== waiter)
      }
      const waiter: Waiter = {
        scope,
        grant() {
          leave()
          resolve()
        },
      }
      const timer = setTimeout(() => {
        leave()
        reject(tooLate(this.#holder as SubstituteScope))
      }, patience)
      this.#waiters.push(waiter)
    })
  }

  leave(): void {
    this.#held--
    if (this.#held > 0) return
    this.#holder = this.#waiters[0]?.scope
    for (const waiter of this.#waiters.filter(({ scope }) => scope === this.#holder)) {
      this.#held++
      waiter.grant()
    }
  }

  /** Lets everybody in who waits: there is nothing to have any more, and they find out by themselves. */
  open(): void {
    for (const waiter of this.#waiters.slice()) {
      this.#held++
      waiter.grant()
    }
  }
}
