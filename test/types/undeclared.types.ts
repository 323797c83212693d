// What compiles, and what does not, in an application that has not declared its engines. `npm run typecheck`
// is the test: an unused @ts-expect-error is an error. On the sources, which no augmentation reaches.
import { defineConfig } from '@mikro-orm/postgresql'
import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import sqlAssist, {
  type Db,
  type EngineName,
  type EngineOptions,
  type ReplicaInfo,
  type ReplicaOptions,
  type RoutingOptions,
  type SqlEm,
} from '../../src/index.ts'

const orm = defineConfig({ dbName: 'x' })
const app = Fastify()

app.register(sqlAssist, { engines: { writer: { orm } }, commitMode: 'autocommit' })

// @ts-expect-error: engines are needed
app.register(sqlAssist, {})
// @ts-expect-error: not a commit mode
app.register(sqlAssist, { engines: { writer: { orm } }, commitMode: 'always' })
// @ts-expect-error: a typo
app.register(sqlAssist, { engines: { writer: { orm } }, comitMode: 'manual' })

expectTypeOf<{ orm: typeof orm }>().toExtend<EngineOptions>()
expectTypeOf<{ orm: typeof orm; readOnly: true; snapshot: true }>().toExtend<EngineOptions>()
expectTypeOf<{ orm: typeof orm; autocommit: true }>().toExtend<EngineOptions>()
expectTypeOf<{ orm: typeof orm; isolationLevel: 'serializable' }>().toExtend<EngineOptions>()
// Contradictions do not compile.
expectTypeOf<{ orm: typeof orm; readOnly: true; autocommit: true }>().not.toExtend<EngineOptions>()
expectTypeOf<{ orm: typeof orm; snapshot: true }>().not.toExtend<EngineOptions>()
expectTypeOf<{ orm: typeof orm; readOnly: true; createAll: true }>().not.toExtend<EngineOptions>()
expectTypeOf<{
  orm: typeof orm
  readOnly: true
  isolationLevel: 'serializable'
}>().not.toExtend<EngineOptions>()
expectTypeOf<{ readOnly: true }>().not.toExtend<EngineOptions>()

expectTypeOf<EngineName>().toEqualTypeOf<string>()
expectTypeOf<Db['reader']>().toEqualTypeOf<SqlEm>()
expectTypeOf<Db['any']>().toEqualTypeOf<SqlEm>()

app.get('/', { config: { db: { commitMode: 'manual', onAbort: 'commit' } } }, async request => {
  expectTypeOf(request.db).toEqualTypeOf<Db>()
  expectTypeOf(request.db.get('whatever')).toEqualTypeOf<SqlEm>()
  // @ts-expect-error: only reader, writer and logger until engines are declared
  request.db.archive
  // @ts-expect-error: a session is not assigned to
  request.db.writer = request.db.reader
})
// @ts-expect-error: not a commit mode
app.get('/wrong', { config: { db: { commitMode: 'sometimes' } } }, async () => '')

expectTypeOf(app.sqlAssist.run(async () => 7)).resolves.toEqualTypeOf<number>()
// @ts-expect-error: run takes a function
app.sqlAssist.run(7)
// @ts-expect-error: not an engine name but a number
app.sqlAssist.reinit(7)

// Routing
const [a, b] = ['postgresql://a/x', 'postgresql://b/x']
const several = { ...defineConfig({ entities: [] }), clientUrl: [a, b] }
const token = { secret: 'a secret of at least 16 characters' }
const replicas = [
  { clientUrl: a },
  { name: 'b', host: 'b', port: 5433, weight: 2, password: async () => 'x' },
]

app.register(sqlAssist, {
  engines: { writer: { orm: several }, reader: { orm, readOnly: true, replicas } },
  routing: {
    primary: 'writer',
    consistency: 'eventual',
    maxLag: { ms: 5_000, bytes: 1_024 },
    wait: 0,
    onUnavailable: 'error',
    token: { ...token, transport: 'header', maxAge: 60_000, name: 'x-seen', secure: true },
    probe: { interval: 500, timeout: 250 },
  },
})
app.register(sqlAssist, { engines: { writer: { orm } }, routing: { token: { secret: ['first', 'second'] } } })
app.register(sqlAssist, {
  engines: { writer: { orm } },
  routing: {
    token: {
      ...token,
      transport: {
        read: request => request.headers.authorization,
        write: (reply, text) => void reply.header('x-seen', text),
      },
    },
  },
})

expectTypeOf<{ orm: typeof several }>().toExtend<EngineOptions>()
expectTypeOf<{ orm: { clientUrl: 'postgresql://a,b/x' } }>().toExtend<EngineOptions>()
expectTypeOf<{ orm: { clientUrl: number } }>().not.toExtend<EngineOptions>()
expectTypeOf<{ orm: { clientUrl: URL[] } }>().not.toExtend<EngineOptions>()
expectTypeOf<{ orm: typeof orm; readOnly: true; replicas: ReplicaOptions[] }>().toExtend<EngineOptions>()
// Replicas are read from.
app.register(sqlAssist, {
  // @ts-expect-error: a writer has no replicas
  engines: { writer: { orm, replicas } },
})
app.register(sqlAssist, {
  // @ts-expect-error: nor has an engine that commits by itself
  engines: { logger: { orm, autocommit: true, replicas } },
})
expectTypeOf<{ clientUrl: string; weight: string }>().not.toExtend<ReplicaOptions>()
expectTypeOf<{ host: string; port: string }>().not.toExtend<ReplicaOptions>()
// @ts-expect-error: a typo
export const misspelt: ReplicaOptions = { clientUrl: a, wieght: 2 }

expectTypeOf<{ consistency: 'strong' }>().not.toExtend<RoutingOptions>()
expectTypeOf<{ onUnavailable: 'fail' }>().not.toExtend<RoutingOptions>()
expectTypeOf<{ maxLag: number }>().not.toExtend<RoutingOptions>()
expectTypeOf<{ wait: string }>().not.toExtend<RoutingOptions>()
expectTypeOf<{ token: string }>().not.toExtend<RoutingOptions>()
expectTypeOf<{ token: { maxAge: number } }>().not.toExtend<RoutingOptions>()
expectTypeOf<{ token: { secret: string; transport: 'query' } }>().not.toExtend<RoutingOptions>()
expectTypeOf<{ token: { secret: string; transport: { read(): string } } }>().not.toExtend<RoutingOptions>()
// @ts-expect-error: a typo
app.register(sqlAssist, { engines: { writer: { orm } }, routing: { primray: 'writer' } })

app.get('/routed', { config: { db: { consistency: 'eventual' } } }, async request => {
  expectTypeOf(request.db.token).toEqualTypeOf<string | undefined>()
  // @ts-expect-error: it is only read
  request.db.token = 'v1'
  return app.sqlAssist.run(async db => db.token, { token: request.db.token, consistency: 'session' })
})
// @ts-expect-error: not a consistency
app.get('/wrong', { config: { db: { consistency: 'strong' } } }, async () => '')
// @ts-expect-error: not a consistency
app.sqlAssist.run(async () => {}, { consistency: 'strong' })
// @ts-expect-error: a token is a string
app.sqlAssist.run(async () => {}, { token: 7 })

expectTypeOf(app.sqlAssist.engines.get('reader').replicas).toEqualTypeOf<readonly ReplicaInfo[]>()
expectTypeOf<ReplicaInfo['state']>().toEqualTypeOf<'online' | 'lagging' | 'down' | 'draining'>()
expectTypeOf(app.sqlAssist.routing.reads.replica).toEqualTypeOf<number>()
// @ts-expect-error: a live view
app.sqlAssist.routing.waited = 0
