import { type Bench, control } from '../lib/bench.ts'
import { insert } from './insert.ts'

/** What it costs to know the transaction's id before COMMIT, should its answer get lost: no message more. */
export const inDoubt: Bench = {
  ...insert,
  name: 'in-doubt',
  question: 'insert and commit, with the guard of COMMIT against the same without it',
  candidates: {
    guarded: 'sqlassist',
    plain: 'sqlassist-unguarded',
    'plain (twin)': 'sqlassist-unguarded',
  },
  countsMessages: true,
  comparisons: [
    {
      name: 'a COMMIT without the guard',
      ours: ['guarded'],
      theirs: ['plain', 'plain (twin)'],
      target: { ratio: 0.97, messages: 'equal' },
    },
    control('plain'),
  ],
}
