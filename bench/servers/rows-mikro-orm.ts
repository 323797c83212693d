// Plain MikroORM as one writes it by hand: the unit of work, and a page and its total by two queries.
import { PAGE_SIZE, Row } from './row.ts'
import { serveRows } from './rows-app.ts'

await serveRows({
  async insert(em, data) {
    const rows = data.map(one => em.create(Row, one))
    await em.flush()
    return { count: rows.length, lastId: rows.at(-1)?.id }
  },
  async list(em, { from, to }) {
    const where = { quantity: { $gte: from, $lte: to } }
    const items = await em.find(Row, where, {
      orderBy: [{ madeAt: 'desc' }, { id: 'asc' }],
      limit: PAGE_SIZE,
    })
    return [items, await em.count(Row, where)]
  },
})
