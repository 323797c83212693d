import { type Bench, control, TWINS } from '../lib/bench.ts'
import { insert } from './insert.ts'

/**
 * The same with a millisecond of network each way: round trips are what costs now. The load is small, so that the
 * network is what the requests wait for and not one another.
 */
export const insertRemote: Bench = {
  ...insert,
  name: 'insert-remote',
  question: 'insert and commit, PostgreSQL 1 ms away in each direction',
  connections: 4,
  delay: 1,
  candidates: TWINS,
  comparisons: [
    {
      name: 'plain MikroORM',
      ours: ['sqlassist'],
      theirs: ['plain', 'plain (twin)'],
      target: { ratio: 1.4 },
    },
    control('plain'),
  ],
}
