import type { CompiledQuery, QueryResult } from 'kysely'
import { statementEnd, statementError, statementStart } from './channels.ts'
import { StatementMessage, type StatementOrigin } from './statement-message.ts'

/** Whether anybody wants to hear of statements. To be asked before anything is made for them. */
export function hasStatementListeners(): boolean {
  return statementEnd.hasSubscribers || statementStart.hasSubscribers || statementError.hasSubscribers
}

/** Sends a statement, and tells of it. */
export async function observeStatement<R>(
  origin: StatementOrigin,
  query: CompiledQuery,
  send: () => Promise<QueryResult<R>>,
): Promise<QueryResult<R>> {
  const message = new StatementMessage(origin, query)
  if (statementStart.hasSubscribers) statementStart.publish(message)
  let result: QueryResult<R>
  try {
    result = await send()
  } catch (error) {
    fail(message, error)
    throw error
  }
  end(message, Number(result.numAffectedRows ?? result.rows.length))
  return result
}

/** The same for a statement whose rows are streamed. One that is left early has ended. */
export async function* observeStream<R>(
  origin: StatementOrigin,
  query: CompiledQuery,
  rows: AsyncIterableIterator<QueryResult<R>>,
): AsyncIterableIterator<QueryResult<R>> {
  const message = new StatementMessage(origin, query)
  if (statementStart.hasSubscribers) statementStart.publish(message)
  let count = 0
  let failure: { readonly error: unknown } | undefined
  try {
    for await (const chunk of rows) {
      count += chunk.rows.length
      yield chunk
    }
  } catch (error) {
    failure = { error }
    throw error
  } finally {
    if (failure === undefined) end(message, count)
    else fail(message, failure.error)
  }
}

function end(message: StatementMessage, rows: number): void {
  message.duration = performance.now() - message.startedAt
  message.rows = rows
  if (statementEnd.hasSubscribers) statementEnd.publish(message)
}

function fail(message: StatementMessage, error: unknown): void {
  message.duration = performance.now() - message.startedAt
  message.error = error
  if (statementError.hasSubscribers) statementError.publish(message)
}
