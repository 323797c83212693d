import { type Channel, channel } from 'node:diagnostics_channel'
import t from 'tap'
import { createTables, NOTHING, Note, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'

// Diagnostics cost nothing where nobody listens: the few questions whether anybody does are all that is done for them.

/** What all channels without a listener have in common. */
const prototype: Channel = Object.getPrototypeOf(channel('sqlassist:statement:start'))

/** Channel → how often it was asked whether it has a listener, and how often it was told something. */
const asked = new Map<string, number>()
const told = new Map<string, number>()
const count = (counts: Map<string, number>, { name }: Channel): void => {
  if (String(name).startsWith('sqlassist:')) counts.set(String(name), (counts.get(String(name)) ?? 0) + 1)
}
const { hasSubscribers, publish } = Object.getOwnPropertyDescriptors(prototype)
Object.defineProperties(prototype, {
  hasSubscribers: {
    configurable: true,
    get(this: Channel) {
      count(asked, this)
      return false
    },
  },
  publish: {
    configurable: true,
    value(this: Channel) {
      count(told, this)
    },
  },
})
t.teardown(() => Object.defineProperties(prototype, { hasSubscribers, publish } as PropertyDescriptorMap))

const database = await testDatabase(t)
await createTables(database)
await database.sql("insert into note (tag, body) values ('seed', 'one')")
const app = await testApp(t, database, {
  plugin: { commitMode: 'autocommit' },
  routes(app) {
    app.post('/notes', async request => {
      request.db.writer.create(Note, { tag: 'posted', body: 'one' })
      return {}
    })
    app.get('/notes', async request => request.db.reader.find(Note, { tag: 'seed' }))
    app.get('/none', async () => ({}))
  },
})

/** How many questions a request asks. */
async function questionsOf(method: 'GET' | 'POST', url: string): Promise<number> {
  asked.clear()
  t.match(await app.ask(method, url, method === 'POST' ? { body: {} } : {}), { status: 200 }, url)
  t.same(await app.remains(), NOTHING)
  return [...asked.values()].reduce((sum, times) => sum + times, 0)
}

t.test('a request asks a few times whether anybody listens, and tells nothing', async t => {
  t.equal(await questionsOf('POST', '/notes'), 10, 'an insert')
  t.equal(await questionsOf('GET', '/notes'), 9, 'a read, in a snapshot')
  t.equal(await questionsOf('GET', '/none'), 0, 'a request without a database')
  t.same([...told], [])
})
