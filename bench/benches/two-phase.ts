import { type Bench, control } from '../lib/bench.ts'
import { resetNotesTwice } from '../lib/database.ts'
import { insert } from './insert.ts'

/** What it costs that two databases have one outcome: PREPARE in each, the decision, COMMIT PREPARED in each. */
export const twoPhase: Bench = {
  ...insert,
  name: 'two-phase',
  question: 'insert into two databases and commit, in two phases against two commits',
  candidates: { 'two-phase': 'two-phase', 'one-phase': 'one-phase', 'one-phase (twin)': 'one-phase' },
  prepare: resetNotesTwice,
  comparisons: [
    {
      name: 'two commits of one phase',
      ours: ['two-phase'],
      theirs: ['one-phase', 'one-phase (twin)'],
      target: null,
    },
    control('one-phase'),
  ],
}
