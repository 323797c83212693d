import type { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type pg from 'pg'
import t from 'tap'
import { createTables, NOTHING, nativePool, type TestApp, testApp } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { random } from '../support/random.ts'
import { addEndings, KINDS, type KindName, kindOf } from './endings.ts'

const REQUESTS = Number(process.env.REQUESTS ?? 10_000)
const CLIENTS = 32
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

function heapInMb(): number {
  for (let round = 0; round < 4; round++) gc()
  return process.memoryUsage().heapUsed / 2 ** 20
}

function activeResources(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

/** Every client that the pools open, with the number of listeners that it starts with. */
async function watchClients(test: TestApp): Promise<Map<pg.PoolClient, number>> {
  const clients = new Map<pg.PoolClient, number>()
  for (const { name } of test.app.sqlAssist.engines) {
    const pool = await nativePool(test, name)
    pool.on('connect', client => clients.set(client, listeners(client)))
    pool.on('remove', client => clients.delete(client))
  }
  return clients
}

function listeners(emitter: EventEmitter): number {
  return emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0)
}

t.setTimeout(600_000)

t.test(`${REQUESTS} requests with random endings, a tenth of them without their client`, async t => {
  t.comment(`seed ${SEED}: run again with SEED=${SEED}`)
  const unexpected: string[] = []
  const note = (what: string) => (error: Error) => {
    unexpected.push(`${what}: ${error.stack}`)
  }
  const [onWarning, onRejection] = [note('warning'), note('rejection')]
  process.on('warning', onWarning)
  process.on('unhandledRejection', onRejection)
  t.teardown(() => {
    process.off('warning', onWarning)
    process.off('unhandledRejection', onRejection)
  })

  const database = await testDatabase(t)
  await createTables(database)
  const test = await testApp(t, database, {
    max: 10,
    plugin: { commitMode: 'autocommit', abortGrace: 60 },
    server: { logger: false },
    routes: addEndings,
  })
  const clients = await watchClients(test)
  const chance = random(SEED)
  const names = Object.keys(KINDS) as KindName[]
  const answering = names.filter(name => !kindOf(name).stuck)
  const kinds = new Uint8Array(REQUESTS)
  const aborted = new Uint8Array(REQUESTS)
  const statuses = new Uint16Array(REQUESTS)
  const surprises = new Map<number, string>()

  async function request(n: number): Promise<void> {
    const hangsUp = chance() < 0.1
    const pool = hangsUp ? names : answering
    const name = pool[Math.floor(chance() * pool.length)] as KindName
    const method = chance() < 0.5 ? 'GET' : 'POST'
    const patience = chance() * 30
    kinds[n] = names.indexOf(name)
    aborted[n] = Number(hangsUp)
    const call = test.call(method, `/?tag=${n}&kind=${name}`, method === 'POST' ? { body: { n } } : {})
    if (hangsUp) sleep(kindOf(name).stuck ? 20 + patience : patience).then(call.abort)
    const { status = 0, body } = await call.answer
    statuses[n] = status
    if (!hangsUp && status !== kindOf(name).status) surprises.set(n, body)
  }

  const heaps: number[] = []
  const resources: Record<string, number>[] = []
  const start = performance.now()
  const perThird = Math.ceil(REQUESTS / 3)
  for (let first = 0; first < REQUESTS; first += perThird) {
    let next = first
    const end = Math.min(first + perThird, REQUESTS)
    await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        while (next < end) await request(next++)
      }),
    )
    t.same(await test.remains(), NOTHING, `after ${end} requests every connection and session is back`)
    heaps.push(heapInMb())
    resources.push(activeResources())
  }
  const took = (performance.now() - start) / 1_000
  t.comment(`${REQUESTS} requests in ${took.toFixed(1)} s, ${aborted.reduce((a, b) => a + b, 0)} hung up`)
  t.comment(`heap after each third: ${heaps.map(heap => `${heap.toFixed(1)} MB`).join(', ')}`)
  t.comment(`resources after each third: ${resources.map(counts => JSON.stringify(counts)).join(' ')}`)

  const rows = await database.sql<{ tag: string; count: number }>(
    'select tag, count(*)::int as count from note group by tag',
  )
  const saved = new Uint8Array(REQUESTS)
  for (const { tag, count } of rows) saved[Number(tag)] = count
  const wrong = { status: [] as string[], rows: [] as string[], halves: [] as string[] }
  for (let n = 0; n < REQUESTS; n++) {
    const name = names[kinds[n] as number] as KindName
    const kind = kindOf(name)
    const what = `request ${n} (${name}${aborted[n] ? ', hung up' : ''}): ${statuses[n]}, ${saved[n]} rows ${surprises.get(n) ?? ''}`
    if (saved[n] !== 0 && saved[n] !== 2) wrong.halves.push(what)
    if (aborted[n]) {
      const sawSuccess = statuses[n] === kind.status && kind.saves
      if (saved[n] === 2 ? !kind.saves : sawSuccess) wrong.rows.push(what)
      continue
    }
    if (statuses[n] !== (kind.status ?? 0)) wrong.status.push(what)
    if (saved[n] !== (kind.saves ? 2 : 0)) wrong.rows.push(what)
  }
  t.same(wrong.status.slice(0, 10), [], `each answer has its status (${wrong.status.length} have not)`)
  t.same(
    wrong.rows.slice(0, 10),
    [],
    `exactly the rows that were to be saved are there (${wrong.rows.length})`,
  )
  t.same(wrong.halves.slice(0, 10), [], `no request is saved by half (${wrong.halves.length})`)
  const completed = aborted.filter(value => value === 0).length
  const [audits] = await database.sql<{ count: number }>('select count(*)::int from audit')
  t.ok((audits?.count ?? 0) > completed * 0.5, 'the logger has written')
  t.same(unexpected.slice(0, 3), [], 'no warning (of leaked listeners), no unhandled rejection')

  const crowded = [...clients].map(([client, before]) => listeners(client) - before)
  t.ok(crowded.length > 0 && Math.max(...crowded) <= 0, 'no listener is left on a connection')

  const growth = (heaps.at(-1) as number) - (heaps[0] as number)
  t.ok(growth < 4, `the heap does not grow (${growth.toFixed(1)} MB)`)
  const [after, last] = [resources[0], resources.at(-1)] as [Record<string, number>, Record<string, number>]
  t.ok((last.Timeout ?? 0) <= (after.Timeout ?? 0) + 5, 'no timer is left behind')
  t.ok((last.TCPSocketWrap ?? 0) <= 3 * 10 + 5, 'no socket is left behind')
  const [backends] = await database.sql<{ count: number }>(
    'select count(*)::int from pg_stat_activity where datname = $1 and application_name = $2',
    [database.name, test.applicationName],
  )
  t.ok((backends?.count ?? 99) <= 3 * 10, 'the server has no more connections than the pools may have')
})
