import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { defineConfig } from '@mikro-orm/postgresql'
import t from 'tap'
import { Dog, schoolOn } from '../events/school.ts'
import { childEnvironment } from '../support/child-environment.ts'
import { testDatabase } from '../support/cluster.ts'
import { random } from '../support/random.ts'

// A writer that is killed at any point leaves entities and events, or neither; what it had been told was committed is there.

const KILLS = Number(process.env.KILLS ?? 100)

t.setTimeout(1_200_000)

for (const ordering of ['watermark', 'strict'] as const) {
  t.test(`${ordering}: a writer that is killed ${KILLS / 2} times`, async t => {
    const db = await testDatabase(t)
    const backend = {
      options: (more: object = {}) => defineConfig({ clientUrl: db.superUrl, ...more }),
    }
    const { school, invoiced } = await schoolOn(t, backend as never, { ordering, name: 'killed' })
    const next = random(ordering.length)
    const acknowledged = new Set<string>()
    for (let run = 0; run < KILLS / 2; run++) {
      const child = spawn(process.execPath, [fileURLToPath(new URL('events-writer.ts', import.meta.url))], {
        env: { ...childEnvironment, URL: db.superUrl, RUN: String(run), ORDERING: ordering, NAME: 'killed' },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      t.teardown(() => child.kill('SIGKILL'))
      const exited = once(child, 'exit')
      let said = ''
      child.stdout.setEncoding('utf8').on('data', text => {
        said += text
      })
      // From its first commit on, at any time.
      await Promise.race([once(child.stdout, 'data'), exited])
      await sleep(next() * 120)
      child.kill('SIGKILL')
      const [code, signal] = await exited
      t.same([code, signal], [null, 'SIGKILL'], said.slice(-500))
      await (child.stdout.readableEnded || once(child.stdout, 'end'))
      // The last line may not be whole.
      for (const name of said.split('\n').slice(0, -1)) acknowledged.add(name)
      if (run % 10 === 9) t.comment(`${run + 1} kills, ${acknowledged.size} acknowledged`)
    }
    // What was under way ends when the server has seen that nobody is there any more.
    for (;;) {
      const others = await db.sql(
        "select 1 from pg_stat_activity where datname = $1 and state <> 'idle' and pid <> pg_backend_pid()",
        [db.name],
      )
      if (others.length === 0) break
      await sleep(20)
    }

    const paid = new Set(await invoiced())
    const events = await school.recorder.selectNotifications({ limit: 1_000_000 })
    const names = new Set<string>()
    const versions = new Map<string, number[]>()
    for (const { originatorId, originatorVersion } of events) {
      const known = versions.get(originatorId) ?? []
      known.push(originatorVersion)
      versions.set(originatorId, known)
    }
    const byId = new Map([...paid].map(name => [Dog.idOf(name), name]))
    for (const [id, seen] of versions) {
      const name = byId.get(id)
      if (name === undefined) t.fail(`events of ${id} without an invoice`)
      else names.add(name)
      const [, writer, n] = (name ?? '').split('-').map(Number)
      const expected = writer !== 2 && Number(n) % 2 === 0 ? [1, 2] : [1]
      if (String(seen) !== String(expected)) t.same(seen, expected, `${name}: all its events`)
    }
    t.equal(names.size, paid.size, 'each invoice has its events')
    const missing = [...acknowledged].filter(name => !paid.has(name) || !names.has(name))
    t.same(missing, [], 'all that was acknowledged is there')
    t.ok(acknowledged.size > KILLS, `${acknowledged.size} acknowledged, ${paid.size} committed`)
    t.comment(`${acknowledged.size} acknowledged, ${paid.size} committed`)
    if (ordering === 'strict') {
      const ids = events.map(({ id }) => id)
      t.ok(
        ids.every((id, place) => id === place + 1),
        'without a gap',
      )
    }
    const snapshots = await db.sql<{ id: string; version: string }>(
      'select originator_id as id, originator_version as version from killed_snapshots',
    )
    t.equal(snapshots.length, [...versions.values()].filter(seen => seen.length === 2).length)
  })
}
