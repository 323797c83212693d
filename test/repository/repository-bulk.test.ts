import t from 'tap'
import { manyRows } from './many-rows.ts'

// 100,000 rows on PostgreSQL; fewer elsewhere, where MikroORM's unit of work takes seconds: test/faults has all.
await manyRows(t, { postgresql: 100_000, mysql: 6_000, sqlite: 12_000 })
