import t from 'tap'
import { samePairs } from '../segments/clickhouse-property.ts'

await samePairs(t, 20_000)
