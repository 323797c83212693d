// What compiles, and what does not, in an application that has not declared its engines. `npm run typecheck`
// is the test: an unused @ts-expect-error is an error. On the sources, which no augmentation reaches.
import { defineConfig } from '@mikro-orm/postgresql'
import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import sqlAssist, { type Db, type EngineName, type EngineOptions, type SqlEm } from '../../src/index.ts'

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
