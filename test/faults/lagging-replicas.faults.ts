import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { EmbeddedCluster } from '../../plugins/embedded/index.ts'
import { Audit, NOTHING, type TestApp } from '../support/app.ts'
import { random } from '../support/random.ts'
import {
  addNoteRoutes,
  allCurrent,
  Browser,
  PATIENT_PROBE,
  replicatedCluster,
  routedApp,
} from '../support/routed-app.ts'

// Clients that write and read at random while replicas are late at random, both of them at times. What a client has
// written or has once seen, it must never miss.

const REQUESTS = Number(process.env.REQUESTS ?? 8_000)
const CLIENTS = 50
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))

t.setTimeout(600_000)

interface Outcome {
  readonly missed: string[]
  readonly unexpected: string[]
  readonly written: number
  readonly read: number
}

async function atRandom(test: TestApp, prefix: string, requests: number): Promise<Outcome> {
  const chance = random(SEED)
  const all: string[] = []
  const missed: string[] = []
  const unexpected: string[] = []
  let written = 0
  let read = 0
  let next = 0
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_none, number) => {
      const browser = new Browser(test)
      const known = new Set<string>()
      while (next < requests) {
        const n = next++
        const dice = chance()
        if (dice < 0.25 || all.length === 0) {
          const kind = dice < 0.05 ? 'lines' : 'notes'
          const path = `${prefix}/${kind}/${prefix.slice(1)}-${n}`
          const { status, body } = await browser.ask('POST', path, {})
          if (status !== 201) unexpected.push(`POST ${path}: ${status} ${body}`)
          else {
            written++
            known.add(path)
            all.push(path)
          }
          continue
        }
        // Mostly what others have just written, or what it knows itself.
        const latest = all[Math.max(0, all.length - 1 - Math.floor(chance() * 20))] as string
        const own = [...known][Math.max(0, known.size - 1 - Math.floor(chance() * 3))]
        const path = chance() < 0.5 ? latest : (own ?? latest)
        const { status, body } = await browser.ask('GET', path)
        read++
        if (status === 200) known.add(path)
        else if (status !== 404) unexpected.push(`GET ${path}: ${status} ${body}`)
        else if (known.has(path)) missed.push(`client ${number}, request ${n}: ${path} ${body}`)
      }
    }),
  )
  return { missed, unexpected, written, read }
}

/** Pauses and resumes at random until it is told to end. */
function disturb(cluster: EmbeddedCluster): { end(): Promise<number> } {
  const chance = random(SEED + 1)
  let ended = false
  let pauses = 0
  const each = cluster.replicas.map(async replica => {
    while (!ended) {
      await replica.pauseReplay()
      pauses++
      await sleep(chance() * 400)
      await replica.resumeReplay()
      await sleep(chance() * 400)
    }
  })
  return {
    async end() {
      ended = true
      await Promise.all(each)
      return pauses
    },
  }
}

t.test(`${REQUESTS} requests of ${CLIENTS} clients while replicas are late`, async t => {
  t.comment(`seed ${SEED}: run again with SEED=${SEED}`)
  const cluster = await replicatedCluster(t, 2)
  const test = await routedApp(t, cluster, {
    max: 10,
    server: { logger: false },
    routing: { probe: PATIENT_PROBE, wait: 50 },
    routes: app => {
      for (const [prefix, consistency] of [
        ['', 'session'],
        ['/eventual', 'eventual'],
      ] as const) {
        addNoteRoutes(app, consistency, prefix)
        app.post<{ Params: { tag: string } }>(`${prefix}/lines/:tag`, async (request, reply) => {
          request.db.logger.create(Audit, { tag: request.params.tag })
          reply.code(201)
          return {}
        })
        app.get<{ Params: { tag: string } }>(
          `${prefix}/lines/:tag`,
          { config: { db: { consistency } } },
          async (request, reply) => {
            const line = await request.db.reader.findOne(Audit, { tag: request.params.tag })
            if (line === null) reply.code(404)
            return { found: line !== null }
          },
        )
      }
    },
  })
  await allCurrent(test, cluster)

  const disturbance = disturb(cluster)
  const { missed, unexpected, written, read } = await atRandom(test, '', REQUESTS)
  const pauses = await disturbance.end()
  const { reads } = test.app.sqlAssist.routing
  t.comment(
    `${written} writes, ${read} reads, ${pauses} pauses, connections for reads: ${JSON.stringify(reads)}`,
  )
  t.same(missed.slice(0, 10), [], `nobody misses what it has written or seen (${missed.length})`)
  t.same(unexpected.slice(0, 10), [], `no answer but 200, 201 and 404 (${unexpected.length})`)
  t.ok(reads.replica > reads.primary, 'most reads are on replicas all the same')
  t.ok(reads.primary > 0 && pauses > 10, 'and at times no replica had what was asked for')
  await allCurrent(test, cluster)
  t.same(await test.remains(), NOTHING)

  const again = disturb(cluster)
  const eventual = await atRandom(test, '/eventual', Math.ceil(REQUESTS / 4))
  await again.end()
  t.ok(eventual.missed.length > 0, `with consistency eventual ${eventual.missed.length} were missed`)
  t.comment(`with consistency eventual ${eventual.missed.length} of ${eventual.read} reads missed`)
})
