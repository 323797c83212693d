import { setTimeout as sleep } from 'node:timers/promises'
import { CompiledQuery } from 'kysely'
import type { ConnectionPool, Lease, Trailer } from '../engines/connection-pool.ts'
import { errors } from '../errors.ts'
import { inDoubts } from '../observe/channels.ts'
import type { InDoubtMessage } from '../observe/messages.ts'
import { isServerFailure } from '../routing/failures.ts'
import { forgetOrigins, ORIGIN, type Witness } from './witness.ts'

/** Milliseconds. How long a COMMIT may stay in doubt while its server is asked, and how often it is. */
const PATIENCE = 5_000
const FIRST_PAUSE = 20
const LAST_PAUSE = 250

const WHERE_SQL = CompiledQuery.raw(`select case when not pg_is_in_recovery() then ${ORIGIN} end as origin`)

/** Where the outcome of a COMMIT can be asked for. */
export interface OutcomeContext {
  /** The engine's name. */
  readonly name: string
  readonly pool: Pick<ConnectionPool, 'acquire'>
  readonly commitTrailer?: Trailer | undefined
  /** What diagnostic messages name as their source. */
  readonly engine: { readonly source: object }
}

/** Whether an error of COMMIT leaves it open what has become of the transaction: no server has answered. */
export function isInDoubt(error: unknown): boolean {
  const { code, fatal } = error as { code?: unknown; fatal?: unknown }
  // statement_completion_unknown, and what mysql2 and mariadb say of a lost connection.
  if (code === '40003' || fatal === true) return true
  // A time limit of the client's own has neither.
  return (
    isServerFailure(error) || (error instanceof Error && /timeout/i.test(error.message) && !isSqlState(code))
  )
}

function isSqlState(code: unknown): boolean {
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)
}

/**
 * Finds out what has become of a transaction whose COMMIT got no answer (PostgreSQL: `pg_xact_status`).
 *
 * @returns when it has been committed
 * @throws SQLA_ERR_COMMIT_LOST when it has not, SQLA_ERR_COMMIT_IN_DOUBT when nobody can tell
 */
export async function findOutcome(context: OutcomeContext, witness: Witness, cause: unknown): Promise<void> {
  const deadline = performance.now() + PATIENCE
  let why = 'its server does not answer'
  for (let pause = FIRST_PAUSE; performance.now() < deadline; pause = Math.min(2 * pause, LAST_PAUSE)) {
    const status = await ask(context, witness, deadline).catch(() => undefined)
    if (status === 'committed') return tellOutcome(context, 'committed')
    if (status === 'aborted') {
      tellOutcome(context, 'aborted')
      throw new errors.SQLA_ERR_COMMIT_LOST(context.name, { cause })
    }
    if (status === 'elsewhere' || status === 'forgotten') {
      why =
        status === 'elsewhere'
          ? 'its server has been restarted, or another one has taken over'
          : 'the server does not remember it'
      break
    }
    if (status === 'in progress') why = 'it has not ended'
    await sleep(pause)
  }
  tellOutcome(context, 'unknown')
  throw new errors.SQLA_ERR_COMMIT_IN_DOUBT(context.name, why, { cause })
}

/** For figures: what became of a COMMIT that got no answer. */
export function tellOutcome(
  { name, engine }: Pick<OutcomeContext, 'name' | 'engine'>,
  outcome: InDoubtMessage['outcome'],
): void {
  if (inDoubts.hasSubscribers) inDoubts.publish({ source: engine.source, engine: name, outcome })
}

type Status = 'committed' | 'aborted' | 'in progress' | 'elsewhere' | 'forgotten'

async function ask(context: OutcomeContext, { xid, origin }: Witness, deadline: number): Promise<Status> {
  const lease = await context.pool.acquire()
  // Where the network is gone, a connection may be silent for ever: then the question on it fails.
  const timer = setTimeout(() => lease.release(true), Math.max(0, deadline - performance.now()))
  try {
    const { rows } = await lease.execute<{ origin: string | null }>(WHERE_SQL)
    if (rows[0]?.origin !== origin) {
      forgetOrigins()
      // There somebody else may have the same id.
      return 'elsewhere'
    }
    const status = await statusOf(lease, xid)
    if (status === 'in progress') await endBackend(lease, xid)
    if (status === 'committed') await tellPosition(lease, context.commitTrailer)
    return status
  } finally {
    clearTimeout(timer)
    lease.release()
  }
}

async function statusOf(lease: Lease, xid: string): Promise<Status> {
  const { rows } = await lease.execute<{ status: Status | null }>(
    CompiledQuery.raw('select pg_xact_status($1::xid8) as status', [xid]),
  )
  return rows[0]?.status ?? 'forgotten'
}

/**
 * A server whose network has gone keeps the transaction open until it notices. Its COMMIT is either there already, and
 * ends it, or will never come.
 */
async function endBackend(lease: Lease, xid: string): Promise<void> {
  await lease.execute(
    CompiledQuery.raw(
      'select pg_terminate_backend(pid) from pg_stat_activity where backend_xid = $1::xid8::xid and usename = current_user',
      [xid],
    ),
  )
}

/** What COMMIT would have brought along. The position now is behind it; without one the client's token says too little. */
async function tellPosition(lease: Lease, trailer: Trailer | undefined): Promise<void> {
  if (trailer === undefined) return
  const { rows } = await lease.execute<Record<string, unknown>>(CompiledQuery.raw(trailer.sql))
  if (rows[0] !== undefined) trailer.receive(rows[0], lease)
}
