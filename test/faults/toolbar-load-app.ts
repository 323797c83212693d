import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import { Recorder } from '../../plugins/toolbar/recorder.ts'
import { addRecording } from '../../plugins/toolbar/request-hooks.ts'
import { sqlAssist } from '../../src/index.ts'
import { Note, ormConfig } from '../support/app.ts'

// An application whose requests are recorded, in a process of its own, which calls it as often as it is told to, and says every
// second how it is doing: `node --expose-gc toolbar-load-app.ts URL SECONDS RATE LIMIT`.

const [url = '', seconds = '60', rate = '1000', limit = '100'] = process.argv.slice(2)

const app = Fastify()
await app.register(sqlAssist, {
  commitMode: 'autocommit',
  engines: { writer: { orm: ormConfig(url, { pool: { min: 0, max: 10 } }) } },
})
const recorder = new Recorder({
  source: app.sqlAssist,
  limit: Number(limit),
  statements: 500,
  parameters: false,
  log: app.log,
})
addRecording(app, recorder, '/_sqlassist')
app.get('/notes', async request => (await request.db.writer.find(Note, {}, { limit: 3 })).length)
app.get('/many', async request => {
  for (let n = 0; n < 20; n++) await request.db.writer.execute(`select ${n}`)
  return {}
})
app.get('/plain', async () => 'plain')
app.get('/missing', async (_request, reply) => reply.code(404).send({}))
await app.ready()

const PATHS = [
  '/plain',
  '/plain',
  '/notes',
  '/plain',
  '/missing',
  '/plain',
  '/notes',
  '/plain',
  '/plain',
  '/many',
]
let asked = 0
let answered = 0
let wrong = 0
const failed: Record<string, number> = {}
let highest = 0
// Every entry is told of when it begins; what comes later is about one that is known.
recorder.onChange(({ id }) => {
  if (id === undefined || id <= highest) return
  if (id !== highest + 1) wrong++
  highest = id
})

async function ask(): Promise<void> {
  const path = PATHS[asked++ % PATHS.length] as string
  const { statusCode, body } = await app.inject(path)
  answered++
  if (statusCode !== (path === '/missing' ? 404 : 200)) failed[`${path} ${statusCode} ${body}`] = asked
}

// Connecting takes its time.
await app.sqlAssist.run(db => db.writer.execute('select 1'))
recorder.clear()
const before = highest

const from = performance.now()
const elapsed = (): number => (performance.now() - from) / 1_000
let isMeasured = false
while (elapsed() < Number(seconds)) {
  const due = Math.floor(elapsed() * Number(rate))
  // What the machine cannot do is not asked for later: no more than this many at once.
  while (asked < due && asked - answered < 20) void ask()
  await (asked < due ? new Promise(setImmediate) : sleep(2))
  if (isMeasured || elapsed() < Number(seconds) / 3) continue
  isMeasured = true
  await measure()
}
const took = elapsed()
while (answered < asked) await sleep(10)
await sleep(100)
await measure()
const entries = recorder.entries()
process.stdout.write(
  `${JSON.stringify({
    asked,
    answered,
    wrong,
    failed,
    entries: highest - before,
    seconds: took,
    kept: entries.map(({ id }) => id - before),
    unended: entries.filter(({ duration }) => duration === undefined).length,
    statements: entries.filter(({ route }) => route === '/many').map(one => one.statements.length),
    listed: recorder.get(highest) === entries[0],
  })}\n`,
)
await app.close()

async function measure(): Promise<void> {
  while (answered < asked) await sleep(1)
  globalThis.gc?.()
  globalThis.gc?.()
  process.stdout.write(
    `${JSON.stringify({ second: Math.round(elapsed()), heap: process.memoryUsage().heapUsed })}\n`,
  )
}
