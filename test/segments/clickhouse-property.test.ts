import t from 'tap'
import { samePairs } from './clickhouse-property.ts'

await samePairs(t, 4_000)
