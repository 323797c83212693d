import t from 'tap'
import { samePairs } from '../segments/property.ts'

await samePairs(t, 20_000)
