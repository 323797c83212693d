import { type Bench, control } from '../lib/bench.ts'
import { insert } from './insert.ts'

/** What the channels cost to which nobody listens: nothing but the questions whether somebody does. */
export const diagnostics: Bench = {
  ...insert,
  name: 'diagnostics',
  question: 'insert and commit, with diagnostics channels that nobody hears against none',
  candidates: {
    channels: 'sqlassist-as-it-is',
    'channels (twin)': 'sqlassist-as-it-is',
    plain: 'sqlassist-without-diagnostics',
    'plain (twin)': 'sqlassist-without-diagnostics',
  },
  comparisons: [
    {
      name: 'no diagnostics channels',
      ours: ['channels', 'channels (twin)'],
      theirs: ['plain', 'plain (twin)'],
      target: { cpuRatio: 1.01 },
    },
    control('plain'),
  ],
}
