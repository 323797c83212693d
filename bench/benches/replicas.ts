import { type Bench, control } from '../lib/bench.ts'
import { NOTES } from '../lib/database.ts'
import { request } from '../lib/load.ts'

const note = { title: 'Milk', body: 'Two bottles, and what else there is no room for on the list' }
const READS_PER_WRITE = 9
// As many writes as make every note be read once.
const WRITES = Math.ceil(NOTES / READS_PER_WRITE)

const requests: Buffer[] = []
const status: number[] = []
for (let write = 0; write < WRITES; write++) {
  for (let read = 0; read < READS_PER_WRITE; read++) {
    requests.push(request('GET', `/notes/${((write * READS_PER_WRITE + read) % NOTES) + 1}`))
    status.push(200)
  }
  requests.push(request('POST', '/notes', note))
  status.push(201)
}

/**
 * How many reads the primary is spared when every client must see what it has written and seen. The three servers
 * share the cores of one machine, so throughput says what the standbys cost here, and not what they bring elsewhere.
 */
export const replicas: Bench = {
  name: 'replicas',
  question:
    '90 % reads and 10 % writes by clients that keep their tokens, two standbys against the primary alone',
  candidates: { routed: 'routed', plain: 'sqlassist', 'plain (twin)': 'sqlassist' },
  standbys: 2,
  connections: 8,
  keepsToken: true,
  requests,
  status,
  comparisons: [
    {
      name: 'everything on the primary',
      ours: ['routed'],
      theirs: ['plain', 'plain (twin)'],
      target: null,
    },
    control('plain'),
  ],
}
