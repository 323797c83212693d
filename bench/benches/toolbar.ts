import { type Bench, control } from '../lib/bench.ts'
import { insert } from './insert.ts'

/** What the toolbar costs an application in development. */
export const toolbar: Bench = {
  ...insert,
  name: 'toolbar',
  question: 'insert and commit, with the toolbar against without it',
  candidates: {
    toolbar: 'sqlassist-toolbar',
    'toolbar (twin)': 'sqlassist-toolbar',
    plain: 'sqlassist',
    'plain (twin)': 'sqlassist',
  },
  comparisons: [
    {
      name: 'no toolbar',
      ours: ['toolbar', 'toolbar (twin)'],
      theirs: ['plain', 'plain (twin)'],
      target: { cpuRatio: 1.25 },
    },
    control('plain'),
  ],
}
