// What compiles, and what does not, of the plugins of `fastify-sqlassist/diagnostics`. `npm run typecheck` is the test: an
// unused @ts-expect-error is an error.
import { defineConfig } from '@mikro-orm/postgresql'
import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import { type OpenMetricsContentType, Registry, register } from 'prom-client'
import {
  type MetricsOptions,
  metrics,
  type StatementLogOptions,
  statementLog,
  traceComments,
  tracing,
} from '../../plugins/diagnostics/index.ts'
import sqlAssist, { type DiagnosticScope, observe, type ReplicaState } from '../../src/index.ts'

const app = Fastify()
app.register(sqlAssist, { engines: { writer: { orm: defineConfig({ dbName: 'x' }) } } })

app.register(statementLog)
app.register(statementLog, {
  all: true,
  slowerThan: 50,
  failedLevel: 'silent',
  parameters: true,
  maxLength: 500,
})
// @ts-expect-error: a typo
app.register(statementLog, { slower: 50 })
// @ts-expect-error: not a level
app.register(statementLog, { failedLevel: 'loud' })
expectTypeOf<StatementLogOptions['slowerThan']>().toEqualTypeOf<number | undefined>()

app.register(tracing)
app.register(tracing, { returnedRows: true })
// @ts-expect-error: a typo
app.register(tracing, { returnRows: true })

app.register(metrics)
app.register(metrics, { register, prefix: 'notes_' })
app.register(metrics, { register: new Registry() })
app.register(metrics, { register: new Registry<OpenMetricsContentType>() })
// @ts-expect-error: no register
app.register(metrics, { register: new Map() })
expectTypeOf<Registry>().toExtend<NonNullable<MetricsOptions['register']>>()

expectTypeOf(traceComments).toExtend<(scope: DiagnosticScope) => Record<string, string | undefined>>()

expectTypeOf(
  observe('sqlassist:statement:end', message => {
    expectTypeOf(message.sql).toBeString()
    expectTypeOf(message.duration).toEqualTypeOf<number | undefined>()
    expectTypeOf(message.server.isReplica).toBeBoolean()
    expectTypeOf(message.reveal().parameters).toEqualTypeOf<readonly unknown[]>()
  }),
).toEqualTypeOf<() => void>()
observe('sqlassist:replica', ({ to }) => {
  expectTypeOf(to).toEqualTypeOf<ReplicaState>()
})
// @ts-expect-error: there is no such channel
observe('sqlassist:statement', () => {})
