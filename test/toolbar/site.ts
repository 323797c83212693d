import { defineConfig, defineEntity, p } from '@mikro-orm/sqlite'
import Fastify, { type FastifyInstance } from 'fastify'
import { type ToolbarOptions, toolbar } from '../../plugins/toolbar/index.ts'
import sqlAssist from '../../src/index.ts'
import type { Teardown } from '../support/cluster.ts'

/** What the applications of these tests keep. */
export const Item = defineEntity({
  name: 'Item',
  properties: {
    id: p.integer().primary(),
    name: p.string().unique(),
    tags: () => p.oneToMany(Tag).mappedBy('item'),
  },
})
const Tag = defineEntity({
  name: 'Tag',
  properties: { id: p.integer().primary(), label: p.string(), item: () => p.manyToOne(Item) },
})

export { Tag }

/** An application on SQLite in memory with the toolbar; `routes` come after it. */
export async function toolbarSite(
  t: Teardown,
  options: ToolbarOptions = {},
  routes: (app: FastifyInstance) => unknown = () => {},
): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  const orm = defineConfig({ dbName: ':memory:', entities: [Item, Tag], logger: () => {} })
  await app.register(sqlAssist, { engines: { writer: { orm } }, commitMode: 'autocommit' })
  await app.sqlAssist.engines.get('writer').orm.schema.create()
  await app.register(toolbar, options)
  await routes(app)
  await app.ready()
  return app
}
