import type { Bench } from '../lib/bench.ts'
import { request } from '../lib/load.ts'
import { QUANTITIES } from '../lib/rows.ts'
import { listAndCount } from './list-and-count.ts'

const WIDTH = 100

/**
 * The same where the filter leaves 10,000 rows. A window function carries whole rows through PostgreSQL before the
 * page is cut, and a count alone does not: what a round trip saves is small beside that. No target.
 */
export const listAndCountWide: Bench = {
  ...listAndCount,
  name: 'list-and-count-wide',
  question: 'a page of 20 rows and the total of 10,000, of 100,000 rows, PostgreSQL on loopback',
  weight: 30,
  requests: Array.from({ length: QUANTITIES / WIDTH }, (_, at) =>
    request('GET', `/rows?from=${at * WIDTH}&to=${at * WIDTH + WIDTH - 1}`),
  ),
  comparisons: listAndCount.comparisons.map(one =>
    one.target?.ratio === undefined ? one : { ...one, target: null },
  ),
}
