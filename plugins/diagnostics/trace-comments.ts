import type { DiagnosticScope } from '../../src/index.ts'
import { type OpenTelemetry, openTelemetry } from './peers.ts'

let api: OpenTelemetry | undefined

/**
 * For the option `sqlComments` of `sqlAssist`: what `true` gives, with the span that is active in this process in the place of the one
 * that the client has sent. So the log and the views of the database say to which trace a statement belongs.
 *
 * @returns `route`, of a `run` scope its name as `action`; `traceparent` as W3C Trace Context writes it, undefined where no span is active
 * @throws SQLA_ERR_DIAGNOSTICS_PACKAGE when `@opentelemetry/api` is not installed
 *
 * @example
 * ```ts
 * await app.register(sqlAssist, { engines, sqlComments: traceComments })
 * ```
 */
export function traceComments(scope: DiagnosticScope): Record<string, string | undefined> {
  const { request } = scope
  const route = (request as { routeOptions?: { url?: string } } | undefined)?.routeOptions?.url
  return {
    ...(request === undefined ? { action: scope.label() } : { route }),
    traceparent: traceparent(),
  }
}

function traceparent(): string | undefined {
  api ??= openTelemetry('traceComments')
  const { trace, context, isSpanContextValid } = api
  const span = trace.getSpanContext(context.active())
  if (span === undefined || !isSpanContextValid(span)) return undefined
  return `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, '0')}`
}
