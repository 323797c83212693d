import t from 'tap'
import { PrimaryHistory } from '../../src/routing/lag.ts'
import { random } from '../support/random.ts'

t.test('nothing is known, so nobody is behind', async t => {
  const history = new PrimaryHistory()
  t.equal(history.latest, undefined)
  t.same(history.lagOf(0n, 1_000), { ms: 0, bytes: 0 })
})

t.test('what was before the first sample is not covered', async t => {
  const history = new PrimaryHistory()
  t.notOk(history.covers(0n))
  history.add(100n, 1_000)
  history.add(200n, 2_000)
  t.notOk(history.covers(99n))
  t.ok(history.covers(100n))
  t.ok(history.covers(150n))
})

t.test('while nobody writes, nobody falls behind', async t => {
  const wrong: string[] = []
  const history = new PrimaryHistory()
  for (let at = 0; at < 3_600_000; at += 1_000) {
    history.add(500n, at)
    if (history.lagOf(500n, at).ms !== 0) wrong.push(`after ${at} ms`)
  }
  t.same(history.lagOf(500n, 3_600_000), { ms: 0, bytes: 0 })
  t.same(history.lagOf(501n, 3_600_000), { ms: 0, bytes: 0 }, 'it may have been asked after the primary')
  t.same(wrong, [])
})

t.test('lag is the age of the first position that is missing', async t => {
  const history = new PrimaryHistory()
  history.add(100n, 1_000)
  history.add(200n, 2_000)
  history.add(200n, 3_000)
  history.add(350n, 4_000)
  t.equal(history.latest, 350n)
  t.same(history.lagOf(350n, 5_000), { ms: 0, bytes: 0 })
  t.same(history.lagOf(349n, 5_000), { ms: 1_000, bytes: 1 })
  t.same(history.lagOf(200n, 5_000), { ms: 1_000, bytes: 150 })
  t.same(
    history.lagOf(199n, 5_000),
    { ms: 3_000, bytes: 151 },
    'since the primary was there, not since it said so last',
  )
  t.same(history.lagOf(100n, 5_000), { ms: 3_000, bytes: 250 })
  t.same(history.lagOf(0n, 5_000), { ms: 4_000, bytes: 350 })
  t.same(history.lagOf(0n, 900), { ms: 0, bytes: 350 }, 'never below 0')
})

t.test('a standby that stands still is later every second, in time and in bytes', async t => {
  const history = new PrimaryHistory()
  let last = { ms: -1, bytes: -1 }
  for (let second = 0; second < 100; second++) {
    history.add(BigInt(1_000 + second * 10), second * 1_000)
    const lag = history.lagOf(1_000n, second * 1_000 + 500)
    if (second > 1) t.same(lag, { ms: last.ms + 1_000, bytes: last.bytes + 10 })
    last = lag
  }
})

t.test('a server that is behind all that is remembered is at least that late', async t => {
  const history = new PrimaryHistory()
  for (let second = 0; second < 1_000; second++) history.add(BigInt(second), second * 1_000)
  const { ms, bytes } = history.lagOf(10n, 1_000_000)
  t.ok(ms >= 110_000 && ms <= 130_000, `${ms} ms: about two minutes of one sample a second`)
  t.equal(bytes, 989)
})

t.test('a primary that is behind its own past begins anew', async t => {
  const history = new PrimaryHistory()
  history.add(1_000n, 1_000)
  history.add(2_000n, 2_000)
  history.add(1_500n, 3_000)
  t.equal(history.latest, 1_500n)
  t.same(history.lagOf(1_500n, 4_000), { ms: 0, bytes: 0 })
  t.same(history.lagOf(1_800n, 4_000), { ms: 0, bytes: 0 }, 'what it had before counts no more')
  t.same(history.lagOf(1_400n, 4_000), { ms: 1_000, bytes: 100 })
})

t.test('an hour without writes makes nobody forget how late a standby is', async t => {
  const history = new PrimaryHistory()
  history.add(100n, 0)
  for (let at = 1_000; at <= 3_600_000; at += 1_000) history.add(200n, at)
  t.same(history.lagOf(100n, 3_600_000), { ms: 3_599_000, bytes: 100 })
})

t.test('positions above 2^53 keep every byte', async t => {
  const history = new PrimaryHistory()
  const base = 2n ** 63n
  history.add(base, 0)
  history.add(base + 3n, 10)
  t.same(history.lagOf(base + 2n, 20), { ms: 10, bytes: 1 })
})

t.test('any standby of any history is as late as a full record says, as far as that is kept', async t => {
  const next = random(1_234)
  for (let run = 0; run < 200; run++) {
    const history = new PrimaryHistory()
    const record: { at: number; lsn: bigint }[] = []
    let lsn = 0n
    let at = 0
    for (let i = 0; i < 100; i++) {
      at += 1 + Math.floor(next() * 1_000)
      if (next() < 0.6) lsn += BigInt(1 + Math.floor(next() * 500))
      history.add(lsn, at)
      record.push({ at, lsn })
    }
    const replayed = BigInt(Math.floor(next() * Number(lsn + 100n)))
    const missing = record.find(sample => sample.lsn > replayed)
    t.same(
      history.lagOf(replayed, at + 7),
      missing === undefined
        ? { ms: 0, bytes: 0 }
        : { ms: at + 7 - missing.at, bytes: Number(lsn - replayed) },
    )
  }
})
