/** How far a server is behind. */
export interface Lag {
  /** Milliseconds; 0 when it has everything that the primary had when it was last asked. */
  readonly ms: number
  readonly bytes: number
}

interface Sample {
  readonly at: number
  readonly lsn: bigint
}

/** Enough for two minutes at one sample a second; a server that is further behind is at least that late. */
const SAMPLES = 120

/**
 * Where the primary was when. With it the lag of a standby is the age of the first position that it has not
 * replayed, on our own clock. (The age of the last replayed transaction, which PostgreSQL can tell, grows while
 * nobody writes, and compares the clocks of two machines.)
 */
export class PrimaryHistory {
  readonly #samples: Sample[] = []

  /** @param at milliseconds on a clock that does not jump: `performance.now()` */
  add(lsn: bigint, at: number): void {
    if (this.latest !== undefined && lsn < this.latest) this.#samples.length = 0
    if (this.latest === lsn) return
    this.#samples.push({ at, lsn })
    if (this.#samples.length > SAMPLES) this.#samples.shift()
  }

  /**
   * @param lsn what the standby has replayed
   * @param at milliseconds, as in {@link add}
   */
  lagOf(lsn: bigint, at: number): Lag {
    const { latest } = this
    if (latest === undefined || lsn >= latest) return { ms: 0, bytes: 0 }
    const missed = this.#samples.find(sample => sample.lsn > lsn) as Sample
    return { ms: Math.max(0, at - missed.at), bytes: Number(latest - lsn) }
  }

  /** Whether it goes back to when the primary was at `lsn`: otherwise a lag is at least what {@link lagOf} says. */
  covers(lsn: bigint): boolean {
    const [first] = this.#samples
    return first !== undefined && first.lsn <= lsn
  }

  get latest(): bigint | undefined {
    return this.#samples.at(-1)?.lsn
  }
}
