import t from 'tap'
import { type Candidate, choose } from '../../src/routing/choice.ts'
import { random } from '../support/random.ts'

interface Server extends Candidate {
  readonly weight: number
  load: number
}

const servers = (...weights: number[]): Server[] => weights.map(weight => ({ weight, load: 0 }))

t.test('there is nothing to choose from, or nothing to choose', async t => {
  t.equal(choose([]), undefined)
  const [only] = servers(3) as [Server]
  t.equal(choose([only]), only)
  only.load = 1_000
  t.equal(choose([only]), only)
})

t.test('idle servers get reads by their weights: 1 to 2 to 7, within 5 %', async t => {
  const next = random(99)
  const idle = servers(1, 2, 7)
  const counts = new Map(idle.map(server => [server, 0]))
  const all = 100_000
  for (let i = 0; i < all; i++) {
    const chosen = choose(idle, next) as Server
    counts.set(chosen, (counts.get(chosen) ?? 0) + 1)
  }
  for (const [{ weight }, count] of counts) {
    const expected = (all * weight) / 10
    t.ok(Math.abs(count - expected) < expected * 0.05, `weight ${weight}: ${count} of ${all}`)
  }
})

t.test('busy servers carry load by their weights: 1 to 2 to 7, within 5 %', async t => {
  const next = random(7)
  const busy = servers(1, 2, 7)
  const served = new Map(busy.map(server => [server, 0]))
  const running: Server[] = []
  const all = 50_000
  for (let i = 0; i < all; i++) {
    // 100 at a time, which end in no particular order
    if (running.length === 100) {
      const [done] = running.splice(Math.floor(next() * running.length), 1) as [Server]
      done.load--
    }
    const chosen = choose(busy, next) as Server
    chosen.load++
    running.push(chosen)
    served.set(chosen, (served.get(chosen) ?? 0) + 1)
  }
  for (const [{ weight, load }, count] of served) {
    const expected = (all * weight) / 10
    t.ok(Math.abs(count - expected) < expected * 0.05, `weight ${weight} served ${count} of ${all}`)
    t.ok(Math.abs(load - 10 * weight) <= 1, `weight ${weight} has ${load} of 100 at the end`)
  }
})

t.test('the one that is least busy for its weight comes first, whatever chance says', async t => {
  const wrong: string[] = []
  const next = random(31)
  for (let i = 0; i < 2_000; i++) {
    const some = servers(...Array.from({ length: 2 + Math.floor(next() * 6) }, () => 0.5 + next() * 10))
    for (const server of some) server.load = Math.floor(next() * 20)
    const least = Math.min(...some.map(({ load, weight }) => load / weight))
    const chosen = choose(some, next) as Server
    if (chosen.load / chosen.weight !== least) wrong.push(JSON.stringify({ some, chosen }))
  }
  const [light, heavy] = servers(1, 7) as [Server, Server]
  heavy.load = 6
  light.load = 1
  t.equal(
    choose([light, heavy], () => 0),
    heavy,
    '6 of 7 is less than 1 of 1',
  )
  heavy.load = 8
  t.equal(
    choose([light, heavy], () => 0.999),
    light,
  )
  t.same(wrong, [])
})

t.test('chance at its limits still chooses among equals', async t => {
  const equal = servers(0.1, 0.2, 0.7)
  t.equal(
    choose(equal, () => 0),
    equal[0],
  )
  t.ok(equal.includes(choose(equal, () => 1 - Number.EPSILON / 2) as Server))
  // Sums of such weights are rounded, so the remainder may never become negative.
  t.ok(equal.includes(choose(equal, () => 1) as Server))
})

t.test('without a source of chance there is one', async t => {
  const idle = servers(1, 1)
  const seen = new Set(Array.from({ length: 200 }, () => choose(idle)))
  t.same(seen.size, 2)
})
