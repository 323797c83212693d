import type { Bench } from '../lib/bench.ts'
import { addMany } from './add-many.ts'
import { diagnostics } from './diagnostics.ts'
import { flagsRequest } from './flags-request.ts'
import { inDoubt } from './in-doubt.ts'
import { insert } from './insert.ts'
import { insertRemote } from './insert-remote.ts'
import { listAndCount } from './list-and-count.ts'
import { listAndCountRemote } from './list-and-count-remote.ts'
import { listAndCountWide } from './list-and-count-wide.ts'
import { read } from './read.ts'
import { replicas } from './replicas.ts'
import { routedInsert } from './routed-insert.ts'
import { routedRead } from './routed-read.ts'
import { toolbar } from './toolbar.ts'
import { toolbarRead } from './toolbar-read.ts'
import { touched } from './touched.ts'
import { twoPhase } from './two-phase.ts'
import { untouched } from './untouched.ts'

export const benches: readonly Bench[] = [
  insert,
  insertRemote,
  inDoubt,
  twoPhase,
  read,
  untouched,
  touched,
  routedRead,
  routedInsert,
  replicas,
  addMany,
  listAndCount,
  listAndCountRemote,
  listAndCountWide,
  flagsRequest,
  diagnostics,
  toolbar,
  toolbarRead,
]
