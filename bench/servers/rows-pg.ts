// The bulk load without any mapper: one statement of as many parameters as there are values.
import Fastify from 'fastify'
import pg from 'pg'
import { databaseUrl, POOL_SIZE } from './note.ts'
import { addManySchema, type Inserted, type NewRow, newRows } from './row.ts'
import { serve } from './serve.ts'

const COLUMNS = 5

const pool = new pg.Pool({ connectionString: databaseUrl(), max: POOL_SIZE })
const data = newRows()
const app = Fastify({ keepAliveTimeout: 600_000 })
app.post('/rows', { schema: addManySchema }, async (_request, reply) => {
  reply.code(201)
  return insert(data)
})
await serve(app)

async function insert(rows: readonly NewRow[]): Promise<Inserted> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const inserted = await client.query<{ id: number }>(statement(rows.length), values(rows))
    await client.query('commit')
    return { count: inserted.rows.length, lastId: inserted.rows.at(-1)?.id }
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

const texts = new Map<number, string>()

/** `($1, $2, $3, $4, $5), ($6, …`: kept, as whoever writes this for speed would keep it. */
function statement(count: number): string {
  let text = texts.get(count)
  if (text === undefined) {
    const tuples = Array.from({ length: count }, (_, row) => {
      const at = row * COLUMNS
      return `($${at + 1}, $${at + 2}, $${at + 3}, $${at + 4}, $${at + 5})`
    })
    text = `insert into rows (label, quantity, remark, is_open, made_at) values ${tuples.join(', ')} returning id`
    texts.set(count, text)
  }
  return text
}

function values(rows: readonly NewRow[]): unknown[] {
  const all: unknown[] = []
  for (const { label, quantity, remark, isOpen, madeAt } of rows) {
    all.push(label, quantity, remark, isOpen, madeAt)
  }
  return all
}
