// Two databases, and one outcome whatever happens in between.
import { serveTwoWriters } from './two-writers.ts'

await serveTwoWriters(true)
