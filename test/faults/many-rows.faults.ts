import t from 'tap'
import { manyRows } from '../repository/many-rows.ts'

// On each database.
await manyRows(t, { postgresql: 100_000, mysql: 100_000, sqlite: 100_000 })
