import { type Bench, control } from '../lib/bench.ts'
import { NOTES } from '../lib/database.ts'
import { request } from '../lib/load.ts'

/**
 * What it costs to choose a standby, to check the client's token, and to ask for the position in the message of the
 * read. The plain side reads from the same standby, and knows nothing of routing. One standby, because connections to
 * two would cost the kernel more on one side only.
 */
export const routedRead: Bench = {
  name: 'routed-read',
  question: 'read by primary key from a standby, routed and with a token in a cookie, against a plain reader',
  candidates: { routed: 'routed', plain: 'standby', 'plain (twin)': 'standby' },
  standbys: 1,
  connections: 8,
  keepsToken: true,
  countsMessages: true,
  requests: Array.from({ length: NOTES }, (_, index) => request('GET', `/notes/${index + 1}`)),
  status: 200,
  comparisons: [
    {
      name: 'a reader without routing',
      ours: ['routed'],
      theirs: ['plain', 'plain (twin)'],
      target: { cpuRatio: 1.05, messages: 'equal' },
    },
    control('plain'),
  ],
}
