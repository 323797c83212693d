import pg from 'pg'
import t from 'tap'
import { formatLsn, later, type Position, parseLsn, reaches } from '../../src/routing/position.ts'
import { primaryUrl } from '../support/cluster.ts'
import { random } from '../support/random.ts'

const next = random(20_261)
const below = (limit: number): number => Math.floor(next() * limit)
const lsn64 = (): bigint => (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32))

t.test('an LSN is read as PostgreSQL writes it', async t => {
  t.equal(parseLsn('0/0'), 0n)
  t.equal(parseLsn('0/1'), 1n)
  t.equal(parseLsn('0/FFFFFFFF'), 0xffff_ffffn)
  t.equal(parseLsn('1/0'), 0x1_0000_0000n)
  t.equal(parseLsn('16/B374D848'), 0x16_b374_d848n)
  t.equal(parseLsn('16/b374d848'), 0x16_b374_d848n)
  t.equal(parseLsn('FFFFFFFF/FFFFFFFF'), 2n ** 64n - 1n)
  t.equal(formatLsn(0x16_0000_d848n), '16/D848', 'without leading zeros')
})

t.test('10,000 LSNs survive the way there and back, and keep their order', async t => {
  const wrong: string[] = []
  for (let i = 0; i < 10_000; i++) {
    const lsn = lsn64()
    const other = lsn64()
    if (parseLsn(formatLsn(lsn)) !== lsn) wrong.push(`${lsn} became ${formatLsn(lsn)}`)
    if (parseLsn(formatLsn(lsn)) < parseLsn(formatLsn(other)) !== lsn < other)
      wrong.push(`${lsn} and ${other}`)
  }
  t.same(wrong, [])
})

t.test('PostgreSQL counts and writes them in the same way', async t => {
  const client = new pg.Client(await primaryUrl())
  await client.connect()
  t.teardown(() => client.end())
  const lsns = Array.from({ length: 200 }, lsn64)
  const { rows } = await client.query(
    `select lsn::pg_lsn::text as text, (lsn::pg_lsn - '0/0')::text as bytes
    from unnest($1::text[]) with ordinality as given(lsn, at) order by at`,
    [lsns.map(formatLsn)],
  )
  t.same(
    rows.map(({ text, bytes }) => [parseLsn(text), BigInt(bytes)]),
    lsns.map(lsn => [lsn, lsn]),
  )
})

t.test(
  'a position is reached by the same or a later LSN of the same timeline of the same cluster',
  async t => {
    const at = (system: string, timeline: number, lsn: bigint): Position => ({ system, timeline, lsn })
    const wanted = at('7', 2, 100n)
    t.ok(reaches(at('7', 2, 100n), wanted))
    t.ok(reaches(at('7', 2, 101n), wanted))
    t.notOk(reaches(at('7', 2, 99n), wanted))
    t.notOk(reaches(at('7', 1, 200n), wanted), 'an earlier timeline')
    t.notOk(reaches(at('7', 3, 200n), wanted), 'a later timeline: the same number is another place there')
    t.notOk(reaches(at('8', 2, 200n), wanted), 'another cluster')
  },
)

t.test('the later position is that of the later timeline, and of the later LSN on the same', async t => {
  const wrong: string[] = []
  const at = (timeline: number, lsn: bigint): Position => ({ system: '7', timeline, lsn })
  t.same(later(undefined, at(1, 1n)), at(1, 1n))
  t.same(later(at(1, 900n), at(2, 5n)), at(2, 5n))
  t.same(later(at(2, 5n), at(1, 900n)), at(2, 5n))
  for (let i = 0; i < 1_000; i++) {
    const [a, b] = [at(1 + below(3), BigInt(below(5))), at(1 + below(3), BigInt(below(5)))]
    const latest = later(a, b)
    const { timeline, lsn } = later(b, a)
    if (timeline !== latest.timeline || lsn !== latest.lsn) wrong.push('the order matters')
    if (latest !== a && latest !== b) wrong.push('it is one of the two')
    if (latest.timeline < Math.max(a.timeline, b.timeline)) wrong.push('an earlier timeline won')
    if (a.timeline === b.timeline && (latest.lsn < a.lsn || latest.lsn < b.lsn))
      wrong.push('an earlier LSN won')
  }
  const same = at(1, 1n)
  t.equal(later(same, at(1, 1n)), same, 'an equal one changes nothing')
  t.same(wrong, [])
})
