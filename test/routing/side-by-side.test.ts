import t from 'tap'
import { NOTHING, Note } from '../support/app.ts'
import { Browser, PATIENT_PROBE, replicatedCluster, routedApp, statesBecome } from '../support/routed-app.ts'

// A browser that asks several things at once keeps the cookie of the answer that came last.

interface Held {
  readonly reached: PromiseWithResolvers<void>
  readonly go: PromiseWithResolvers<void>
}
const hold = (): Held => ({ reached: Promise.withResolvers(), go: Promise.withResolvers() })

t.test('requests of one client side by side', async t => {
  const cluster = await replicatedCluster(t, 2)
  let held = hold()
  const pass = async (): Promise<void> => {
    held.reached.resolve()
    await held.go.promise
  }
  const test = await routedApp(t, cluster, {
    routing: { probe: PATIENT_PROBE, wait: 0 },
    routes: app => {
      const tagOf = (request: { params: unknown }): string => (request.params as { tag: string }).tag
      app.post('/notes/:tag', async request =>
        request.db.writer.create(Note, { tag: tagOf(request), body: 'a' }),
      )
      app.post('/slow-answer/:tag', async request => {
        request.db.onCommit(pass)
        return request.db.writer.create(Note, { tag: tagOf(request), body: 'a' })
      })
      app.get('/notes/:tag', async request => request.db.reader.count(Note, { tag: tagOf(request) }))
      app.get('/slow-read/:tag', async request => {
        const count = await request.db.reader.count(Note, { tag: tagOf(request) })
        await pass()
        return count
      })
    },
  })
  const both = { replica1: 'online', replica2: 'online' }
  t.same(await statesBecome(test, both), both)
  const browser = new Browser(test)
  const count = async (tag: string) => (await browser.ask('GET', `/notes/${tag}`)).body

  await t.test('a read that is answered after a write takes nothing away', async t => {
    held = hold()
    await browser.ask('POST', '/notes/before', {})
    // What the slow read sees is new to this client, so its answer brings a token.
    const other = new Browser(test)
    await other.ask('POST', '/notes/news', {})
    for (const replica of cluster.replicas) await replica.caughtUp()
    const slow = browser.ask('GET', '/slow-read/news')
    await held.reached.promise
    for (const replica of cluster.replicas) await replica.pauseReplay()
    t.equal((await browser.ask('POST', '/notes/mine', {})).status, 200)
    held.go.resolve()
    t.equal((await slow).body, '1')
    t.equal(await count('mine'), '1', 'it finds its write')
    for (const replica of cluster.replicas) await replica.resumeReplay()
  })

  await t.test('a write that is answered after a later one takes nothing away', async t => {
    held = hold()
    const slow = browser.ask('POST', '/slow-answer/first', {})
    await held.reached.promise
    for (const replica of cluster.replicas) await replica.caughtUp()
    for (const replica of cluster.replicas) await replica.pauseReplay()
    t.equal((await browser.ask('POST', '/notes/second', {})).status, 200)
    held.go.resolve()
    t.equal((await slow).status, 200)
    // The first one is everywhere, the second one nowhere but on the primary.
    t.equal(await count('second'), '1')
    t.equal(await count('first'), '1')
    for (const replica of cluster.replicas) await replica.resumeReplay()
  })

  await t.test('a token that was cut does not show an old page', async t => {
    for (const replica of cluster.replicas) await replica.caughtUp()
    for (const replica of cluster.replicas) await replica.pauseReplay()
    await browser.ask('POST', '/notes/cut', {})
    browser.cookies = { sqlassist: (browser.cookies.sqlassist as string).slice(0, -3) }
    t.equal(await count('cut'), '1', 'the primary has it')
    t.ok(browser.cookies['sqlassist-read'], 'and the client a token again')
    browser.cookies = { 'sqlassist-read': browser.cookies['sqlassist-read'] as string }
    t.equal(await count('cut'), '1')
    t.equal((await test.ask('GET', '/notes/cut')).body, '0', 'whoever has none reads what replicas have')
    for (const replica of cluster.replicas) await replica.resumeReplay()
  })
  t.same(await test.remains(), NOTHING)
})
