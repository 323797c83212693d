import type { Databases } from './server-process.ts'

/** One question: some candidates, a load, and which candidates are compared. */
export interface Bench {
  readonly name: string
  readonly question: string
  /** The candidates by name: a file of bench/servers each. Two of the same file are twins. */
  readonly candidates: Readonly<Record<string, string>>
  /** Connections of the load, which is how many requests are under way at a time. */
  readonly connections: number
  /** Milliseconds that a proxy between application and PostgreSQL adds in each direction. */
  readonly delay?: number
  /**
   * How many times as much work a request is as reading one row: the warm-up has as many times fewer of them.
   * Default 1.
   */
  readonly weight?: number
  /** Makes the table that the requests work on. Default: the notes. */
  readonly prepare?: (databases: Databases) => Promise<void>
  /** What is done before every slice, and is not measured. */
  readonly beforeSlice?: (databases: Databases) => Promise<void>
  /** Sent in turns. */
  readonly requests: readonly Buffer[]
  /** What each must be answered with; in a mix, one for each request. */
  readonly status: number | readonly number[]
  /** Standbys of the cluster that it runs on. Default 0. */
  readonly standbys?: number
  /** Whether every connection is a client that keeps its causal token and brings it along. */
  readonly keepsToken?: boolean
  /** Whether the messages that each candidate sends to PostgreSQL are counted, after the slices. */
  readonly countsMessages?: boolean
  readonly comparisons: readonly Comparison[]
}

/** A row of the table. */
export interface Comparison {
  readonly name: string
  /** The names of candidates. Those of one side are twins, and their mean counts. */
  readonly ours: readonly string[]
  readonly theirs: readonly string[]
  readonly target: Target | null
}

export interface Target {
  /** At least this share of their throughput. */
  readonly ratio?: number
  /** At most this share of their CPU for each request. */
  readonly cpuRatio?: number
  /** Both ratios within this distance of 1.00: a control. */
  readonly within?: number
  /** At most so many connections taken from our pools under load. */
  readonly connections?: number
  /** As many messages to PostgreSQL for each request as theirs. */
  readonly messages?: 'equal'
}

/** Both sides run twice, as two processes of the same program differ by themselves: the control shows by how much. */
export const TWINS = {
  sqlassist: 'sqlassist',
  plain: 'mikro-orm',
  'plain (twin)': 'mikro-orm',
} as const

/** The control: what two servers differ by that do not differ. */
export function control(server: string): Comparison {
  return {
    name: 'control: plain against its twin',
    ours: [`${server} (twin)`],
    theirs: [server],
    target: { within: 0.02 },
  }
}
