import type { Bench } from '../lib/bench.ts'
import { read } from './read.ts'
import { toolbar } from './toolbar.ts'

/** What the toolbar costs a request that asks its session itself: then the line of code that does is looked for. */
export const toolbarRead: Bench = {
  ...read,
  name: 'toolbar-read',
  question: 'find one by its key, with the toolbar against without it',
  candidates: toolbar.candidates,
  comparisons: toolbar.comparisons,
}
