import { type Bench, control } from '../lib/bench.ts'
import { request } from '../lib/load.ts'

/** What a route pays that has nothing to do with a database, for being in the same application. */
export const untouched: Bench = {
  name: 'untouched',
  question: 'a route that touches no database',
  candidates: {
    sqlassist: 'sqlassist',
    bare: 'fastify',
    'bare (twin)': 'fastify',
  },
  connections: 8,
  requests: [request('GET', '/hello')],
  status: 200,
  comparisons: [
    {
      name: 'the app without the plugin',
      ours: ['sqlassist'],
      theirs: ['bare', 'bare (twin)'],
      target: { cpuRatio: 1.03 },
    },
    control('bare'),
  ],
}
