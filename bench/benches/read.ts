import { type Bench, control, TWINS } from '../lib/bench.ts'
import { NOTES } from '../lib/database.ts'
import { request } from '../lib/load.ts'

/** One row read by its primary key through a readOnly engine. */
export const read: Bench = {
  name: 'read',
  question: 'read by primary key, PostgreSQL on loopback',
  candidates: { ...TWINS, pg: 'pg' },
  connections: 8,
  requests: Array.from({ length: NOTES }, (_, index) => request('GET', `/notes/${index + 1}`)),
  status: 200,
  comparisons: [
    {
      name: 'plain MikroORM',
      ours: ['sqlassist'],
      theirs: ['plain', 'plain (twin)'],
      target: { ratio: 1.1, cpuRatio: 0.88 },
    },
    { name: 'raw pg', ours: ['sqlassist'], theirs: ['pg'], target: null },
    control('plain'),
  ],
}
