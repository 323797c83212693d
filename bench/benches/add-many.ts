import { type Bench, control } from '../lib/bench.ts'
import { request } from '../lib/load.ts'
import { createRows, truncateRows } from '../lib/rows.ts'

/**
 * 10,000 rows of plain data inserted and committed, and their keys known. A bulk load runs alone, so there is one
 * connection. The table is emptied before every slice, outside of what is measured.
 */
export const addMany: Bench = {
  name: 'add-many',
  question: 'insert 10,000 rows and commit, PostgreSQL on loopback',
  candidates: {
    keys: 'rows-sqlassist-keys',
    entities: 'rows-sqlassist',
    pg: 'rows-pg',
    'pg (twin)': 'rows-pg',
    flush: 'rows-mikro-orm',
    insertMany: 'rows-mikro-orm-bulk',
  },
  connections: 1,
  weight: 250,
  prepare: createRows,
  beforeSlice: truncateRows,
  requests: [request('POST', '/rows')],
  status: 201,
  comparisons: [
    {
      name: 'keys: one multi-row INSERT through pg',
      ours: ['keys'],
      theirs: ['pg', 'pg (twin)'],
      target: { ratio: 0.8 },
    },
    {
      name: 'entities: one multi-row INSERT through pg',
      ours: ['entities'],
      theirs: ['pg', 'pg (twin)'],
      target: null,
    },
    {
      name: 'entities: plain MikroORM, create and flush',
      ours: ['entities'],
      theirs: ['flush'],
      target: null,
    },
    { name: 'keys: plain MikroORM, insertMany', ours: ['keys'], theirs: ['insertMany'], target: null },
    control('pg'),
  ],
}
