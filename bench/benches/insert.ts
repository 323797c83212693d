import { type Bench, control, TWINS } from '../lib/bench.ts'
import { request } from '../lib/load.ts'

const note = { title: 'Milk', body: 'Two bottles, and what else there is no room for on the list' }

/** One row inserted and committed; the answer has its id. BEGIN travels with the INSERT: a round trip less of three. */
export const insert: Bench = {
  name: 'insert',
  question: 'insert and commit, PostgreSQL on loopback',
  candidates: { ...TWINS, pg: 'pg' },
  connections: 8,
  requests: [request('POST', '/notes', note)],
  status: 201,
  comparisons: [
    {
      name: 'plain MikroORM',
      ours: ['sqlassist'],
      theirs: ['plain', 'plain (twin)'],
      target: { ratio: 1.2, cpuRatio: 0.82 },
    },
    { name: 'raw pg', ours: ['sqlassist'], theirs: ['pg'], target: null },
    control('plain'),
  ],
}
