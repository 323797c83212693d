import type { Attributes, Context, SpanKind as Kind, Span, Tracer } from '@opentelemetry/api'
import type { FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type {
  DiagnosticScope,
  ServerInfo,
  SessionEndMessage,
  StatementMessage,
  TwoPhaseMessage,
} from '../../src/index.ts'
import { cut } from './cut.ts'
import { statusOf, typeOf } from './database-errors.ts'
import { assertOptions, boolean } from './options.ts'
import { observeOwn } from './own-messages.ts'
import { openTelemetry } from './peers.ts'
import { summaryOf } from './query-summary.ts'

/** Options of the plugin. */
export interface TracingOptions {
  /** Whether spans say how many rows a statement has returned; the conventions leave that to the application. Default false. */
  readonly returnedRows?: boolean
}

/** Milliseconds. Whoever got a connection at once did not wait. */
const SHORTEST_WAIT = 1
/** Characters. An INSERT of a thousand rows would otherwise be most of what is exported. */
const LONGEST_TEXT = 8_000
const DEFAULT_PORTS: Readonly<Record<string, number>> = { postgresql: 5432, mysql: 3306, mariadb: 3306 }
const TWO_PHASE: Readonly<Record<Exclude<TwoPhaseMessage['step'], 'decide'>, string>> = {
  prepare: 'PREPARE TRANSACTION',
  commit: 'COMMIT PREPARED',
  rollback: 'ROLLBACK PREPARED',
}

/** What is known of a scope's session on an engine since its latest statement. */
interface Known {
  readonly server: ServerInfo
  readonly parent: Context
}

async function register(app: FastifyInstance, options: TracingOptions): Promise<void> {
  assertOptions(options, { returnedRows: boolean }, 'tracing')
  const { returnedRows = false } = options
  const { context, trace, SpanKind, SpanStatusCode } = openTelemetry('tracing')
  const spans = new WeakMap<StatementMessage, Span>()
  const sessions = new WeakMap<DiagnosticScope, Map<string, Known>>()

  // Asked for each time: an SDK may be registered later.
  const tracer = (): Tracer => trace.getTracer('fastify-sqlassist')

  function endSpan(span: Span, error: unknown, endTime?: number): void {
    if (error !== undefined) {
      // Without the database's message: it quotes values.
      const status = statusOf(error)
      span.setAttribute('error.type', typeOf(error))
      if (status !== undefined) span.setAttribute('db.response.status_code', status)
      span.setStatus({ code: SpanStatusCode.ERROR })
    }
    span.end(endTime)
  }

  /** A span for what is told of when it is over. */
  function pastSpan(
    name: string,
    { parent, ...about }: { kind: Kind; attributes: Attributes; parent: Context },
    { duration, error }: { readonly duration: number; readonly error: unknown },
  ): void {
    const now = Date.now()
    endSpan(tracer().startSpan(name, { ...about, startTime: now - duration }, parent), error, now)
  }

  /** COMMIT and its kind, on the server of the statements before. */
  function command(
    operation: string,
    message: SessionEndMessage | TwoPhaseMessage,
    summary = operation,
  ): void {
    const { scope, engine } = message
    const { dialect } = app.sqlAssist.engines.get(engine)
    const known = sessions.get(scope)?.get(engine)
    // A request that was cut off is rolled back outside its own context.
    const active = context.active()
    const parent = trace.getSpan(active) === undefined ? (known?.parent ?? active) : active
    const attributes = {
      ...attributesOf(engine, dialect, known?.server),
      'db.operation.name': operation,
      'db.query.summary': summary,
    }
    pastSpan(summary, { kind: SpanKind.CLIENT, attributes, parent }, message)
  }

  observeOwn(app, 'tracing', {
    'sqlassist:statement:start': message => {
      const { scope, engine, server, dialect, sql } = message
      const parent = context.active()
      const known = sessions.get(scope) ?? new Map<string, Known>()
      sessions.set(scope, known.set(engine, { server, parent }))
      const { text } = summaryOf(sql, dialect)
      const attributes = {
        ...attributesOf(engine, dialect, server),
        ...(text !== '' && { 'db.query.summary': text }),
        'db.query.text': cut(sql, LONGEST_TEXT),
      }
      const name = text || server.database || dialect
      spans.set(message, tracer().startSpan(name, { kind: SpanKind.CLIENT, attributes }, parent))
    },
    'sqlassist:statement:end': message => {
      const span = spans.get(message)
      if (span === undefined) return
      if (returnedRows && message.rows !== undefined && summaryOf(message.sql, message.dialect).returnsRows) {
        span.setAttribute('db.response.returned_rows', message.rows)
      }
      endSpan(span, undefined)
    },
    'sqlassist:statement:error': message => {
      const span = spans.get(message)
      if (span !== undefined) endSpan(span, message.error ?? '')
    },
    'sqlassist:session:commit': message => command('COMMIT', message),
    'sqlassist:session:rollback': message => command('ROLLBACK', message),
    'sqlassist:two-phase': message => {
      const { step } = message
      if (step === 'decide') command('INSERT', message, 'INSERT decision')
      else command(TWO_PHASE[step], message)
    },
    'sqlassist:pool:wait': message => {
      const { engine, duration, error } = message
      if (duration < SHORTEST_WAIT && error === undefined) return
      // No call of a database, so it has none of its attributes.
      const attributes = { 'sqlassist.engine': engine }
      pastSpan('pool wait', { kind: SpanKind.INTERNAL, attributes, parent: context.active() }, message)
    },
  })
}

function attributesOf(engine: string, dialect: string, server: ServerInfo | undefined): Attributes {
  const { host, port, database, name } = server ?? {}
  return {
    'db.system.name': dialect,
    ...(database !== undefined && { 'db.namespace': database }),
    ...(host !== undefined && { 'server.address': host }),
    ...(host !== undefined &&
      port !== undefined &&
      port !== DEFAULT_PORTS[dialect] && { 'server.port': port }),
    'sqlassist.engine': engine,
    ...(name !== undefined && { 'sqlassist.server': name }),
  }
}

/**
 * Spans of OpenTelemetry for statements, COMMIT, ROLLBACK, the steps of commits in two phases and waiting for a connection, with the
 * stable semantic conventions for databases. They are children of the span that is active where the statement is sent.
 *
 * Throws SQLA_ERR_DIAGNOSTICS_PACKAGE when `@opentelemetry/api` is not installed, SQLA_ERR_INVALID_OPTION.
 *
 * @example
 * ```ts
 * await app.register(sqlAssist, { engines, sqlComments: traceComments })
 * await app.register(tracing)
 * ```
 */
export const tracing = fastifyPlugin(register, {
  fastify: '5.x',
  name: 'fastify-sqlassist-tracing',
  dependencies: ['fastify-sqlassist'],
})
