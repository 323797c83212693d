import t from 'tap'
import { fuzz } from '../repository/filter-query-fuzz.ts'

await fuzz(t, { postgresql: 10_000, others: 1_000 })
