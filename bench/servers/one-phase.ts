// Two databases, each with a COMMIT of its own.
import { serveTwoWriters } from './two-writers.ts'

await serveTwoWriters(false)
