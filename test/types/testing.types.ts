// What compiles, and what does not, of the plugin `testing`. `npm run typecheck` is the test: an unused @ts-expect-error is an
// error.
import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import { type TestDb, testDb } from '../../plugins/testing/index.ts'
import type { Db } from '../../src/index.ts'

const app = Fastify()
expectTypeOf(await testDb(app)).toEqualTypeOf<TestDb>()
await using db = await testDb(app)
expectTypeOf(
  await db.run(session => {
    expectTypeOf(session).toEqualTypeOf<Db>()
    return 7
  }),
).toEqualTypeOf<number>()
expectTypeOf(
  await db.run(async () => 'seven', { name: 'arrange', commitMode: 'manual' }),
).toEqualTypeOf<string>()
expectTypeOf(db.rollback()).toEqualTypeOf<Promise<void>>()
// @ts-expect-error: there is no such option
await db.run(() => 7, { rollback: true })
// @ts-expect-error: an application, not its plugin
await testDb(app.sqlAssist)
// @ts-expect-error: nothing commits it
await db.commit()
