import t from 'tap'
import { pages, runBlocks } from './run-blocks.ts'

// The blocks of the guides to flags, segments and events.

await runBlocks(
  t,
  (await pages()).filter(page => /flags|segments|events/.test(page)),
)
