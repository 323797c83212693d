import { type Bench, control } from '../lib/bench.ts'
import { read } from './read.ts'

/** The same for a request that asks its session itself: then the line of code that does is looked for. */
export const toolbarRead: Bench = {
  ...read,
  name: 'toolbar-read',
  question: 'find one by its key, with the toolbar against without it',
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
