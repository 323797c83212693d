// The application of the servers that use plain MikroORM on many rows: they differ in which of its ways they go.
import { MikroORM, type SqlEntityManager } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import { Acquisitions } from './note.ts'
import {
  addManySchema,
  type Inserted,
  type ListQuery,
  listSchema,
  type NewRow,
  newRows,
  type Row,
  rowsConfig,
} from './row.ts'
import { serve } from './serve.ts'

/** In what the candidates differ. */
export interface RowsAppOptions {
  readonly insert: (em: SqlEntityManager, data: readonly NewRow[]) => Promise<Inserted>
  readonly list: (em: SqlEntityManager, query: ListQuery) => Promise<[items: Row[], total: number]>
}

/** Runs it until the bench says stop. */
export async function serveRows({ insert, list }: RowsAppOptions): Promise<void> {
  const acquisitions = new Acquisitions()
  const orm = await MikroORM.init(rowsConfig(acquisitions))
  const data = newRows()
  const app = Fastify({ keepAliveTimeout: 600_000 })
  app.post('/rows', { schema: addManySchema }, async (_request, reply) => {
    reply.code(201)
    return insert(orm.em.fork(), data)
  })
  app.get<{ Querystring: ListQuery }>('/rows', { schema: listSchema }, async request => {
    const [items, total] = await list(orm.em.fork(), request.query)
    return { items, total }
  })
  await serve(app, () => acquisitions.count)
}
