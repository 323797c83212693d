import { type Bench, control, TWINS } from '../lib/bench.ts'
import { request } from '../lib/load.ts'

/** A session that runs no SQL takes no connection. What it costs is compared with a fork by hand, and with nothing. */
export const touched: Bench = {
  name: 'touched',
  question: 'a session that is touched and runs no SQL',
  candidates: { ...TWINS, bare: 'fastify' },
  connections: 8,
  requests: [request('GET', '/touch')],
  status: 200,
  comparisons: [
    {
      name: 'plain MikroORM that forks',
      ours: ['sqlassist'],
      theirs: ['plain', 'plain (twin)'],
      target: { connections: 0 },
    },
    {
      name: 'the app without a database',
      ours: ['sqlassist'],
      theirs: ['bare'],
      target: null,
    },
    control('plain'),
  ],
}
