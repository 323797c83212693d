/** The first half of a look at a log. */
export interface SequenceLook {
  /** Which life of the server this is: another one after each start and each crash. */
  readonly life: string
  /** The last number that the sequence has given; 0 when none. */
  readonly highest: number
}

/** The second half, which must have been asked after the first. */
export interface HoldersLook {
  readonly life: string
  /** Who holds the writers' lock: virtual transactions, as pg_locks has them. */
  readonly holders: readonly string[]
}

/** A prepared transaction has left its session, and with it the name that it had there. */
const PREPARED = '-1/'

/**
 * Up to which number nothing can appear in a log any more, where writers take their numbers from a sequence and commit
 * in any order. Every writer takes a shared lock before its first number and holds it until its transaction has ended.
 * So whoever did not hold it yet when the locks were looked at, gets greater numbers than the sequence had given before
 * that look: its floor. Everything up to the lowest floor of those who hold the lock now is settled; without any of
 * them, everything that the sequence had given.
 *
 * This is the pure logic: looks go in, {@link settled} comes out. A look has two halves, and their order matters: a number
 * that was given before the first half belongs to somebody whom the second half sees, or to nobody any more.
 *
 * What a server that has crashed had given and not written down, it gives again. So nothing is carried over into another
 * life of the server: an {@link epoch} ends, and in the next one nothing is settled until that has been seen anew.
 *
 * @example
 * ```ts
 * watermark.settled // 7
 * watermark.look({ life, highest: 12 }) // true: who holds the lock matters
 * watermark.lookAtHolders({ life, holders: ['3/45'] })
 * watermark.settled // 7 as long as 3/45 may be about to commit 8, then 12
 * ```
 */
export class Watermark {
  /** The lowest number that a holder may still commit, less one. */
  #floors = new Map<string, number>()
  #life: string | undefined
  #epoch = 1
  #settled = 0
  /** What the sequence had given at the last look that was completed. */
  #completed = 0
  /** What it had given at the last look. */
  #highest = 0

  /** The life of the server that was looked at. */
  get life(): string | undefined {
    return this.#life
  }

  /** Changes when what was known is known no more. */
  get epoch(): number {
    return this.#epoch
  }

  /** Nothing can appear any more at or below this. 0 while nothing is known. */
  get settled(): number {
    return this.#settled
  }

  /** What the sequence has given, as far as was looked. */
  get highest(): number {
    return this.#highest
  }

  /** Whether something has been given that is not settled yet. */
  get isPending(): boolean {
    return this.#highest > this.#settled
  }

  /** The first half. @returns whether the second half is worth asking for */
  look({ life, highest }: SequenceLook): boolean {
    const isAnother = this.#life !== undefined && life !== this.#life
    if (isAnother || highest < this.#highest) this.forget()
    this.#life = life
    this.#highest = highest
    return this.isPending
  }

  /** The second half, asked after the first. */
  lookAtHolders({ life, holders }: HoldersLook): void {
    if (life !== this.#life) {
      // What the sequence has given in that other life was not looked at.
      this.forget()
      return
    }
    const before = this.#floors
    const now = new Set(holders)
    // One that has gone may have been prepared, and be there under the name of any that was not there before.
    let floorOfPrepared = this.#completed
    for (const [holder, floor] of before) {
      if (!now.has(holder)) floorOfPrepared = Math.min(floorOfPrepared, floor)
    }
    this.#floors = new Map()
    let settled = this.#highest
    for (const holder of now) {
      const floor = before.get(holder) ?? (holder.startsWith(PREPARED) ? floorOfPrepared : this.#completed)
      this.#floors.set(holder, floor)
      settled = Math.min(settled, floor)
    }
    this.#completed = this.#highest
    // Never less than before: no floor is lower than what was settled when it was laid.
    this.#settled = settled
  }

  /** Begins a new epoch. */
  forget(): void {
    this.#epoch++
    this.#life = undefined
    this.#floors = new Map()
    this.#settled = 0
    this.#completed = 0
    this.#highest = 0
  }
}
