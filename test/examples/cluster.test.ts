import t from 'tap'
import { launch } from './helpers.ts'

t.test('two workers, each with a pool of its own; the demo ends by itself', async t => {
  const running = await launch(t, 'cluster/main.ts')
  await running.line(/workers share/)
  const family = running.family()
  t.match(await running.end(), { code: 0, signal: null })
  t.equal(running.errors, '')

  const served = [...running.output.matchAll(/worker (\d+), PostgreSQL backend (\d+)/g)]
  t.equal(served.length, 12)
  const workers = new Set(served.map(([, worker]) => worker))
  t.equal(workers.size, 2, 'both served')
  for (const [, worker, backend] of served) {
    const others = served.filter(line => line[2] === backend && line[1] !== worker)
    t.same(others, [], 'no connection served two workers')
  }
  t.match(running.output, /2 workers, \d connections, none of them shared/)
  t.same(await running.leftovers(family), [])
})
