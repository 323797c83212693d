// The application of the servers that use the repository of fastify-sqlassist, as docs/repository.md says.
import Fastify from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import { comparison, limitOffset, orderBy, Repository } from 'fastify-sqlassist/repository'
import { Acquisitions } from './note.ts'
import {
  addManySchema,
  type Inserted,
  type ListQuery,
  listSchema,
  type NewRow,
  newRows,
  PAGE_SIZE,
  Row,
  rowsConfig,
} from './row.ts'
import { serve } from './serve.ts'

/** Runs it until the bench says stop. */
export async function serveRepository(
  insert: (rows: Repository<Row>, data: readonly NewRow[]) => Promise<Inserted>,
): Promise<void> {
  const acquisitions = new Acquisitions()
  const data = newRows()
  const app = Fastify({ keepAliveTimeout: 600_000 })
  await app.register(sqlAssist, {
    engines: {
      writer: { orm: rowsConfig(acquisitions) },
      reader: { orm: rowsConfig(acquisitions), readOnly: true },
    },
    commitMode: 'autocommit',
  })
  app.post('/rows', { schema: addManySchema }, async (request, reply) => {
    reply.code(201)
    return insert(new Repository(Row, request.db.writer), data)
  })
  app.get<{ Querystring: ListQuery }>('/rows', { schema: listSchema }, async request => {
    const { from, to } = request.query
    const [items, total] = await new Repository(Row, request.db.reader).listAndCount(
      comparison('quantity', 'between', [from, to]),
      orderBy('madeAt', 'desc'),
      limitOffset(PAGE_SIZE),
    )
    return { items, total }
  })
  await serve(app, () => acquisitions.count)
}
