// Plain MikroORM's own short cuts: no unit of work for a bulk load, and one call for a page and its total.
import { PAGE_SIZE, Row } from './row.ts'
import { serveRows } from './rows-app.ts'

await serveRows({
  async insert(em, data) {
    const keys = await em.transactional(inner => inner.insertMany(Row, [...data]))
    return { count: keys.length, lastId: keys.at(-1) }
  },
  list: (em, { from, to }) =>
    em.findAndCount(
      Row,
      { quantity: { $gte: from, $lte: to } },
      { orderBy: [{ madeAt: 'desc' }, { id: 'asc' }], limit: PAGE_SIZE },
    ),
})
