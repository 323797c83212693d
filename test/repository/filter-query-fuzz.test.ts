import t from 'tap'
import { fuzz } from './filter-query-fuzz.ts'

// test/faults sends 10,000.
await fuzz(t, { postgresql: 500, others: 100 })
