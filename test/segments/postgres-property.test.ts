import t from 'tap'
import { samePairs } from './property.ts'

await samePairs(t, 4_000)
