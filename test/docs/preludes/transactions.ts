// What the fragments of docs/transactions.md stand on: an application with shops and a warehouse.
import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist, { type DataManager, type Db } from 'fastify-sqlassist'

const Order = defineEntity({
  name: 'Order',
  tableName: 'orders',
  properties: { id: p.integer().primary().autoincrement(), item: p.string() },
})
const Stock = defineEntity({
  name: 'Stock',
  tableName: 'stock',
  properties: { item: p.string().primary(), count: p.integer() },
})
const app = Fastify()
const orm = () => defineConfig({ clientUrl: process.env.WRITER_URL ?? '', entities: [Order, Stock] })
await app.register(sqlAssist, {
  commitMode: 'autocommit',
  engines: { shop: { orm: orm(), createAll: true }, warehouse: { orm: orm() } },
})
await app.sqlAssist.run(async db => {
  db.get('warehouse').create(Stock, { item: 'tea', count: 5 })
})

export type { DataManager, Db }
