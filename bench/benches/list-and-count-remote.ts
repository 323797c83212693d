import type { Bench } from '../lib/bench.ts'
import { listAndCount } from './list-and-count.ts'

/** The same with a millisecond of network each way: find and count wait for it twice. */
export const listAndCountRemote: Bench = {
  ...listAndCount,
  name: 'list-and-count-remote',
  question: 'a page of 20 rows and the total of 100, PostgreSQL 1 ms away in each direction',
  connections: 4,
  delay: 1,
}
