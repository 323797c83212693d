import { type Bench, control } from '../lib/bench.ts'
import { insert } from './insert.ts'

/** What it costs to bring the position along with COMMIT, and to sign it: no message more. */
export const routedInsert: Bench = {
  ...insert,
  name: 'routed-insert',
  question: 'insert and commit, with a token in the answer, against the same without routing',
  candidates: { routed: 'routed', plain: 'sqlassist', 'plain (twin)': 'sqlassist' },
  standbys: 2,
  keepsToken: true,
  countsMessages: true,
  comparisons: [
    {
      name: 'a writer without routing',
      ours: ['routed'],
      theirs: ['plain', 'plain (twin)'],
      target: { messages: 'equal' },
    },
    control('plain'),
  ],
}
