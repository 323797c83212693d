import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createTables } from '../support/app.ts'
import { childEnvironment } from '../support/child-environment.ts'
import { testDatabase } from '../support/cluster.ts'

// A thousand requests a second for a minute, or what the machine can do: no entry is lost or doubled, and the memory stays what it is.

const SECONDS = Number(process.env.SECONDS ?? 60)
const RATE = Number(process.env.RATE ?? 1_000)
const LIMIT = 100

t.setTimeout(600_000)

t.test(`${RATE} requests a second for ${SECONDS} s`, async t => {
  const db = await testDatabase(t)
  await createTables(db)
  await db.sql("insert into note (tag, body) select 'seed', 'body ' || n from generate_series(1, 10) n")
  const program = fileURLToPath(new URL('toolbar-load-app.ts', import.meta.url))
  const child = spawn(
    process.execPath,
    ['--expose-gc', program, db.writerUrl, String(SECONDS), String(RATE), String(LIMIT)],
    { env: { ...childEnvironment }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    said += text
  })
  const [code] = await once(child, 'close')
  t.equal(code, 0)
  const lines = said
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  const result = lines.pop()
  const heaps = lines.map(({ heap }) => heap / 1_048_576)
  t.comment(
    `${result.asked} requests in ${result.seconds.toFixed(1)} s: ${Math.round(result.asked / result.seconds)}/s; ` +
      `heap after GC ${lines.map(({ second }, index) => `${heaps[index]?.toFixed(1)} MB at ${second} s`).join(', ')}`,
  )
  t.equal(result.answered, result.asked)
  t.same(result.failed, {}, 'every answer was what it is without a toolbar')
  t.equal(result.wrong, 0, 'ids have no gaps')
  t.equal(result.entries, result.asked, 'as many entries as requests')
  t.same(
    result.kept,
    Array.from({ length: LIMIT }, (_, index) => result.asked - index),
    'the last ones are kept, newest first',
  )
  t.equal(result.unended, 0)
  t.ok(result.listed)
  t.ok(result.statements.length > 0 && result.statements.every((count: number) => count === 20))
  const [early = 0, late = Number.POSITIVE_INFINITY] = heaps
  t.ok(
    late < early * 1.15 + 3,
    `${early.toFixed(1)} MB at a third of the time, ${late.toFixed(1)} MB at the end`,
  )
})
