import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import sqlAssist, { type SqlAssistOptions } from '../../src/index.ts'
import { testDatabase } from '../support/cluster.ts'
import { type CutPoint, cuttingProxy } from './cutting-proxy.ts'

// Clients that write while the network is cut around their COMMIT, and what the database has in the end.

const Item = defineEntity({
  name: 'Item',
  tableName: 'item',
  properties: { id: p.integer().primary().autoincrement(), name: p.string() },
})

export interface InDoubt {
  readonly app: FastifyInstance
  /** Writes through a connection that is cut. @returns the status of the answer, and whether the row is there */
  write(
    point: CutPoint | undefined,
    path?: string,
  ): Promise<{ status: number; code?: string; isThere: boolean }>
  readonly proxy: Awaited<ReturnType<typeof cuttingProxy>>
  readonly sql: Awaited<ReturnType<typeof testDatabase>>['sql']
  /** Connections that are in use. */
  readonly used: () => number
}

/**
 * @param max connections of the pool
 * @param behind puts something before the server, and answers with its URL
 */
export async function inDoubt(
  t: Test,
  max = 2,
  options: Pick<SqlAssistOptions, 'sqlComments'> = {},
  behind: (url: string) => Promise<string> = async url => url,
): Promise<InDoubt> {
  const database = await testDatabase(t)
  await database.sql('create table item (id serial primary key, name text not null)')
  await database.sql(
    'create function add_item(text) returns integer language sql as $$ insert into item (name) values ($1) returning id $$',
  )
  const target = await behind(database.writerUrl)
  const proxy = await cuttingProxy(t, target)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sqlAssist, {
    commitMode: 'autocommit',
    ...options,
    engines: {
      writer: {
        orm: defineConfig({
          clientUrl: proxy.url(target),
          entities: [Item],
          pool: { min: 0, max },
        }),
      },
    },
  })
  app.post<{ Querystring: { name: string } }>('/entity', async request =>
    request.db.writer.create(Item, { name: request.query.name }),
  )
  app.post<{ Querystring: { name: string } }>('/bound', async request => {
    const { writer } = request.db
    await writer.execute('select 1')
    const kysely = writer.getKysely<{ item: { name: string } }>()
    await kysely.insertInto('item').values({ name: request.query.name }).execute()
    return {}
  })
  app.post<{ Querystring: { name: string } }>('/function', async request => {
    await request.db.writer.execute('select add_item(?)', [request.query.name])
    return {}
  })
  app.post('/read', async request => {
    await request.db.writer.find(Item, {})
    return {}
  })
  await app.ready()
  let written = 0
  return {
    app,
    proxy,
    sql: database.sql,
    used: () => app.sqlAssist.engines.get('writer').figures.used,
    async write(point, path = '/entity') {
      const name = `item ${written++}`
      if (point !== undefined) proxy.cutNext(point)
      const answer = await app.inject({ method: 'POST', url: path, query: { name } })
      const rows = await database.sql('select id from item where name = $1', [name])
      proxy.forget()
      const { code } = answer.json()
      return { status: answer.statusCode, isThere: rows.length > 0, ...(code && { code }) }
    },
  }
}
