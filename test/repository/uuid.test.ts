import t from 'tap'
import { uuidv7, uuidv7Generator } from '../../plugins/repository/uuid.ts'

const timeOf = (uuid: string): number => Number.parseInt(uuid.replace('-', '').slice(0, 12), 16)

t.test('is of version 7 and variant 10, and begins with the time in milliseconds', async t => {
  const before = Date.now()
  const uuid = uuidv7()
  t.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  t.ok(timeOf(uuid) >= before && timeOf(uuid) <= Date.now() + 1)
  // The example of RFC 9562, appendix A.6, is of 2022-02-22T14:22:22-05:00.
  t.match(uuidv7Generator(() => 0x017f22e279b0)(), /^017f22e2-79b0-7/)
})

t.test('200,000 of one process sort as they were made, and none is twice', async t => {
  const made = Array.from({ length: 200_000 }, () => uuidv7())
  t.ok(made.every((uuid, index) => index === 0 || uuid > (made[index - 1] as string)))
  t.equal(new Set(made.map(uuid => uuid.slice(-12))).size, made.length, 'nor do the random ends repeat')
})

t.test('sorts as made within a millisecond, and when the clock goes back', async t => {
  const times = [5_000, 5_000, 5_000, 4_000, 1, 5_001, 5_001, 4_999]
  const generate = uuidv7Generator(() => times.shift() as number)
  const made = Array.from({ length: 8 }, () => generate())
  t.strictSame(made, [...made].sort())
  t.strictSame(made.map(timeOf), [5_000, 5_000, 5_000, 5_000, 5_000, 5_001, 5_001, 5_001])
})

t.test('takes the next millisecond when the counter of one is exhausted', async t => {
  const generate = uuidv7Generator(() => 7_000) // the clock stands still
  const made = Array.from({ length: 2 ** 18 }, generate)
  t.ok(made.every((uuid, index) => index === 0 || uuid > (made[index - 1] as string)))
  // A counter starts in the lower half of its range, so that there is room for the other half at least.
  const first = made.findIndex(uuid => timeOf(uuid) !== 7_000)
  t.ok(first >= 2 ** 17 && first <= 2 ** 18, `${first}`)
  t.equal(timeOf(made.at(-1) as string) - 7_000 <= 2, true)
})
