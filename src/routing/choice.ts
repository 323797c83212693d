/** What the choice among servers depends on. */
export interface Candidate {
  /** How much of the load it should get, compared with the others. */
  readonly weight: number
  /** How much of it it has right now: connections in use and waited for. */
  readonly load: number
}

/**
 * Weighted least connections, as in load balancers: the server that is least busy for its weight; among equals
 * by chance, with a chance that is proportional to the weight.
 *
 * @param random a number in [0, 1)
 * @returns undefined when there is nothing to choose from
 */
export function choose<T extends Candidate>(
  candidates: readonly T[],
  random: () => number = Math.random,
): T | undefined {
  if (candidates.length < 2) return candidates[0]
  let best: T[] = []
  let least = Number.POSITIVE_INFINITY
  let weights = 0
  for (const candidate of candidates) {
    const share = candidate.load / candidate.weight
    if (share > least) continue
    if (share < least) {
      least = share
      best = []
      weights = 0
    }
    best.push(candidate)
    weights += candidate.weight
  }
  let at = random() * weights
  for (const candidate of best) {
    at -= candidate.weight
    if (at < 0) return candidate
  }
  return best[0]
}
