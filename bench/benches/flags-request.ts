import { type Bench, control } from '../lib/bench.ts'
import { request } from '../lib/load.ts'

/** What ten flags cost a request, of which five are for a share of the actors. */
export const flagsRequest: Bench = {
  name: 'flags-request',
  question: 'a request that asks for ten flags',
  candidates: { ten: 'flags-ten', none: 'flags-none', 'none (twin)': 'flags-none' },
  connections: 8,
  requests: [request('GET', '/hello')],
  status: 200,
  comparisons: [
    {
      name: 'one that asks for none',
      ours: ['ten'],
      theirs: ['none', 'none (twin)'],
      target: { cpuRatio: 1.03 },
    },
    control('none'),
  ],
}
