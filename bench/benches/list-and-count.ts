import { type Bench, control } from '../lib/bench.ts'
import { request } from '../lib/load.ts'
import { createRowsToList, QUANTITIES } from '../lib/rows.ts'

/** The first page and the total of about 100 rows that a filter leaves of 100,000: one statement against two. */
export const listAndCount: Bench = {
  name: 'list-and-count',
  question: 'a page of 20 rows and the total of 100, of 100,000 rows, PostgreSQL on loopback',
  candidates: {
    sqlassist: 'rows-sqlassist',
    plain: 'rows-mikro-orm',
    'plain (twin)': 'rows-mikro-orm',
    findAndCount: 'rows-mikro-orm-bulk',
  },
  connections: 8,
  weight: 3,
  prepare: createRowsToList,
  requests: Array.from({ length: QUANTITIES }, (_, at) => request('GET', `/rows?from=${at}&to=${at}`)),
  status: 200,
  comparisons: [
    {
      name: 'plain MikroORM, find and count',
      ours: ['sqlassist'],
      theirs: ['plain', 'plain (twin)'],
      target: { ratio: 1.2 },
    },
    {
      name: 'plain MikroORM, findAndCount',
      ours: ['sqlassist'],
      theirs: ['findAndCount'],
      target: null,
    },
    control('plain'),
  ],
}
