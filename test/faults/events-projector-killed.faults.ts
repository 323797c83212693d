import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { Application } from '../../plugins/events/application.ts'
import sqlAssist from '../../src/index.ts'
import { childEnvironment } from '../support/child-environment.ts'
import { type TestDatabase, testDatabase } from '../support/cluster.ts'

// Processes that count the events of a log are killed at random points, and compete: each event counts exactly once.

const EVENTS = 10_000
const KILLS = Number(process.env.KILLS ?? 50)
/** Milliseconds. */
const PATIENCE = 120_000

t.setTimeout(300_000)

interface Projector {
  readonly process: ChildProcess
  isRunning: boolean
}

/** A database with a log, and processes that count it. */
async function counted(t: Test): Promise<{
  db: TestDatabase
  project(environment: Record<string, string>): Projector
  /** How far they have come. */
  position(): Promise<number>
  finished(): Promise<void>
}> {
  const db = await testDatabase(t)
  const app = Fastify()
  const config = { entities: [], discovery: { warnWhenNoEntities: false } }
  await app.register(sqlAssist, {
    engines: { writer: { orm: defineConfig({ clientUrl: db.superUrl, ...config }) } },
  })
  await app.ready()
  const application = new Application({ on: app.sqlAssist.engines.get('writer' as never), aggregates: [] })
  await application.createTables()
  for (let first = 0; first < EVENTS; first += 1_000) {
    const originatorId = randomUUID()
    await application.events.put(
      Array.from({ length: 1_000 }, (_none, n) => ({
        originatorId,
        originatorVersion: n + 1,
        topic: 'Counted',
        timestamp: new Date(),
        data: { n },
      })),
    )
  }
  const last = await application.settled()
  await application.close()
  await app.close()
  const projectors: Projector[] = []
  t.teardown(() => {
    for (const { process } of projectors) process.kill('SIGKILL')
  })
  const position = async () => {
    const [row] = await db.sql('select notification_id as id from stored_tracking')
    return Number(row?.id ?? 0)
  }
  return {
    db,
    position,
    project(environment) {
      const program = fileURLToPath(new URL('events-projector.ts', import.meta.url))
      const child = spawn(process.execPath, [program], {
        env: { ...childEnvironment, URL: db.superUrl, ...environment },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      })
      const projector = { process: child, isRunning: false }
      child.on('message', () => {
        projector.isRunning = true
      })
      projectors.push(projector)
      return projector
    },
    async finished() {
      await until(async () => (await position()) >= last, 'everything is counted')
      const [sum] = await db.sql('select sum(id) as total from stored_events')
      t.match(await db.sql('select counted, total from counter'), [{ counted: EVENTS, total: sum?.total }])
    },
  }
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${PATIENCE} ms: ${what}`)
    await sleep(2)
  }
}

async function kill({ process: child }: Projector): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

for (const elect of [true, false]) {
  const how = elect ? 'with an election' : 'without an election'

  t.test(`two projectors at once ${how} count ${EVENTS} events once`, async t => {
    const { project, finished } = await counted(t)
    const both = [1, 2].map(() => project({ ELECT: String(elect), BATCH: '37' }))
    await finished()
    await Promise.all(both.map(kill))
  })

  const kills = elect ? KILLS : Math.ceil(KILLS / 5)
  t.test(`a projector ${how} is killed ${kills} times over ${EVENTS} events, which count once`, async t => {
    const { project, position, finished } = await counted(t)
    const options = { ELECT: String(elect), BATCH: '20' }
    // One works, or both do, and one is about to.
    const alive = [project(options), project(options), project(options)]
    let slowest = 0
    for (let killed = 1; killed <= kills; killed++) {
      const begun = performance.now()
      await until(async () => (await position()) >= (killed * EVENTS) / (kills + 10), `kill ${killed}`)
      if (killed > 1) slowest = Math.max(slowest, performance.now() - begun)
      await sleep(Math.random() * 10)
      const victim = alive.findIndex(({ isRunning }) => isRunning)
      await kill(alive[victim] as Projector)
      alive.splice(victim, 1)
      alive.push(project(options))
      if (killed % 10 === 0) t.comment(`killed ${killed} times, at ${await position()}`)
    }
    t.ok((await position()) < EVENTS, 'it was killed while it was at work')
    await finished()
    t.comment(`the slowest to take over needed ${Math.round(slowest)} ms, its share of the work included`)
    await Promise.all(alive.map(kill))
  })
}
