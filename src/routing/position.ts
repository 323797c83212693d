/**
 * A place in the write-ahead log of a PostgreSQL cluster. An LSN alone means nothing after a failover, and nothing
 * to another cluster; so it never travels alone.
 */
export interface Position {
  /** The cluster's system identifier: the same on a primary and its standbys, different everywhere else. */
  readonly system: string
  /** Counts the promotions: a standby that becomes a primary begins a new timeline. */
  readonly timeline: number
  /** Log sequence number: bytes since the beginning of the log. */
  readonly lsn: bigint
}

/** An LSN as PostgreSQL writes it: `16/B374D848`. */
export function parseLsn(text: string): bigint {
  const slash = text.indexOf('/')
  return BigInt(`0x${text.slice(0, slash)}${text.slice(slash + 1).padStart(8, '0')}`)
}

/** The reverse of {@link parseLsn}. */
export function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`.toUpperCase()
}

/**
 * The one comparison of positions: whether everything that was there at `wanted` is there at `have`. Positions of
 * different timelines are never compared: on another timeline the same number is another place, so the answer is no.
 */
export function reaches(have: Position, wanted: Position): boolean {
  return have.system === wanted.system && have.timeline === wanted.timeline && have.lsn >= wanted.lsn
}

/** The later of two positions of one cluster: a later timeline wins, whatever the numbers are. */
export function later(a: Position | undefined, b: Position): Position {
  if (a === undefined || a.timeline < b.timeline) return b
  return a.timeline === b.timeline && a.lsn < b.lsn ? b : a
}
