// A script whose only work is to follow a log, on a database without connections that would keep it alive.
import { defineConfig } from '@mikro-orm/sqlite'
import Fastify from 'fastify'
import { Aggregate, Application } from '../../plugins/events/index.ts'
import sqlAssist from '../../src/index.ts'

class Dog extends Aggregate<typeof Dog.appliers> {
  static override readonly appliers = { Registered: () => {} }
}

const app = Fastify()
const orm = defineConfig({ dbName: ':memory:', entities: [], discovery: { warnWhenNoEntities: false } })
await app.register(sqlAssist, { engines: { writer: { orm } } })
const dogs = new Application({
  on: app.sqlAssist.engines.get('writer'),
  aggregates: [Dog],
  pollInterval: 100,
})
await dogs.createTables()
setTimeout(() => void dogs.save(Dog.create('Registered')), 300).unref()
for await (const { topic } of dogs.subscribe()) {
  console.log(topic)
  break
}
await app.close()
