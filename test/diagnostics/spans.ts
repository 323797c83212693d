import { type Context, context, type Span, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'

/** What an SDK that a process has registered was given. */
export interface Spans {
  /** The spans that have ended since the last call. */
  ended(): ReadableSpan[]
  /** Runs `work` in a span. */
  inSpan<T>(name: string, work: (span: Span) => Promise<T>): Promise<T>
}

/** Registers an SDK for the whole process, until `t` ends. */
export function recordSpans(t: Test): Spans {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  t.teardown(async () => {
    trace.disable()
    context.disable()
    await provider.shutdown()
  })
  return {
    ended() {
      const spans = exporter.getFinishedSpans()
      exporter.reset()
      return spans
    },
    async inSpan(name, work) {
      const span = startSpan(name)
      try {
        return await context.with(withSpan(span), () => work(span))
      } finally {
        span.end()
      }
    },
  }
}

/** Gives every request a span, as the instrumentation of HTTP servers does; its id is in the header `x-span`. */
export function spanRequests(app: FastifyInstance): void {
  app.addHook('preHandler', (request, reply, done) => {
    const span = startSpan(`${request.method} ${request.routeOptions.url}`)
    reply.header('x-span', span.spanContext().spanId)
    reply.raw.once('close', () => span.end())
    context.with(withSpan(span), done)
  })
}

const startSpan = (name: string): Span => trace.getTracer('test').startSpan(name)
const withSpan = (span: Span): Context => trace.setSpan(context.active(), span)
