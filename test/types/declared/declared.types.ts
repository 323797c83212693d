// The same for an application that has declared its engines, on the built package, as users have it.
import { defineEntity, type SqlEntityManager as PostgreSqlEntityManager, p } from '@mikro-orm/postgresql'
import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import type { Db, EngineName, SqlEm } from 'fastify-sqlassist'

declare module 'fastify-sqlassist' {
  interface SqlAssistEngines {
    writer: PostgreSqlEntityManager
    archive: SqlEm
  }
}

const User = defineEntity({ name: 'User', properties: { id: p.integer().primary(), name: p.string() } })
const app = Fastify()

expectTypeOf<EngineName>().toEqualTypeOf<'writer' | 'archive'>()
expectTypeOf<Db['writer']>().toEqualTypeOf<PostgreSqlEntityManager>()

app.get('/', async request => {
  expectTypeOf(request.db.archive).toEqualTypeOf<SqlEm>()
  expectTypeOf(request.db.get('writer')).toEqualTypeOf<PostgreSqlEntityManager>()
  // @ts-expect-error: not declared
  request.db.reader
  // @ts-expect-error: not declared
  request.db.get('reader')
  // @ts-expect-error: a column that the entity does not have
  await request.db.writer.find(User, { nmae: 'Ann' })
  const user = await request.db.writer.findOneOrFail(User, 1)
  expectTypeOf(user.name).toBeString()
  expectTypeOf(request.db.status.archive).toEqualTypeOf<'INIT' | 'START' | 'END'>()
})
void app.sqlAssist.reinit('archive')
// @ts-expect-error: not declared
void app.sqlAssist.reinit('reader')
