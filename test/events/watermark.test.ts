import t, { type Test } from 'tap'
import { Watermark } from '../../plugins/events/watermark.ts'
import { random } from '../support/random.ts'

const life = 'first'

/** Both halves of a look. */
function look(watermark: Watermark, highest: number, holders: readonly string[], inLife = life): number {
  if (watermark.look({ life: inLife, highest })) watermark.lookAtHolders({ life: inLife, holders })
  return watermark.settled
}

t.test('nothing is settled before the first look', async t => {
  const watermark = new Watermark()
  t.match(watermark, { settled: 0, highest: 0, isPending: false })
})

t.test('of an empty log nobody has to be asked', async t => {
  const watermark = new Watermark()
  t.equal(watermark.look({ life, highest: 0 }), false)
  t.equal(watermark.settled, 0)
})

t.test('without writers everything that was given is settled', async t => {
  const watermark = new Watermark()
  t.equal(look(watermark, 7, []), 7)
  t.equal(watermark.isPending, false)
  t.equal(watermark.look({ life, highest: 7 }), false, 'and as long as nothing new is, nobody is asked')
})

t.test('whoever was there before the first look holds everything back', async t => {
  const watermark = new Watermark()
  t.equal(look(watermark, 7, ['3/45']), 0)
  t.equal(look(watermark, 9, ['3/45']), 0)
  t.equal(look(watermark, 9, []), 9)
})

t.test('a writer holds back what is given after the last look without it', async t => {
  const watermark = new Watermark()
  t.equal(look(watermark, 7, []), 7)
  t.equal(look(watermark, 9, ['3/45']), 7)
  t.equal(watermark.isPending, true)
  t.equal(look(watermark, 12, ['3/45', '4/1']), 7)
  t.equal(look(watermark, 20, ['4/1', '5/9']), 9, 'what it could have, without those that came later')
  t.equal(look(watermark, 20, ['5/9']), 12)
  t.equal(look(watermark, 20, []), 20)
})

t.test('the next transaction of the same session is another one', async t => {
  const watermark = new Watermark()
  look(watermark, 7, ['3/45'])
  t.equal(look(watermark, 9, ['3/46']), 7)
})

t.test('a transaction that is prepared goes on holding back', async t => {
  const watermark = new Watermark()
  look(watermark, 7, [])
  look(watermark, 9, ['3/45'])
  look(watermark, 12, ['3/45', '4/1'])
  t.equal(look(watermark, 15, ['-1/700', '4/1']), 7, 'it has another name now')
  t.equal(look(watermark, 15, ['-1/700']), 7)
  t.equal(look(watermark, 20, []), 20)
})

t.test('one that was prepared between two looks may be any of those that have gone', async t => {
  const watermark = new Watermark()
  look(watermark, 7, [])
  look(watermark, 9, ['3/45'])
  look(watermark, 12, ['3/45', '4/1'])
  t.equal(look(watermark, 15, ['-1/700']), 7)
})

t.test('one that has begun and been prepared between two looks is as new as others', async t => {
  const watermark = new Watermark()
  look(watermark, 7, [])
  t.equal(look(watermark, 15, ['-1/700', '4/1']), 7)
  t.equal(look(watermark, 20, ['-1/700', '-1/701', '4/1']), 7)
  t.equal(look(watermark, 20, ['-1/701', '4/1']), 7)
  t.equal(look(watermark, 22, ['-1/701']), 15, 'when it came, nobody had gone')
  t.equal(look(watermark, 22, []), 22)
})

t.test('in another life of the server nothing is settled', async t => {
  const watermark = new Watermark()
  look(watermark, 7, [])
  look(watermark, 9, ['3/45'])
  const { epoch } = watermark
  t.equal(look(watermark, 9, ['3/45'], 'second'), 0, 'and a transaction of the same name is another one')
  t.not(watermark.epoch, epoch)
  t.equal(look(watermark, 9, [], 'second'), 9)
})

t.test('a look whose halves are of two lives says nothing', async t => {
  const watermark = new Watermark()
  look(watermark, 7, [])
  t.equal(watermark.look({ life, highest: 9 }), true)
  watermark.lookAtHolders({ life: 'second', holders: [] })
  t.equal(watermark.settled, 0)
})

t.test('a sequence that has gone back begins a new epoch', async t => {
  const watermark = new Watermark()
  look(watermark, 7, [])
  const { epoch } = watermark
  t.equal(look(watermark, 5, ['3/45']), 0)
  t.not(watermark.epoch, epoch)
})

t.test('what was forgotten between the halves of a look stays so', async t => {
  const watermark = new Watermark()
  look(watermark, 7, [])
  watermark.look({ life, highest: 9 })
  watermark.forget()
  watermark.lookAtHolders({ life, holders: [] })
  t.equal(watermark.settled, 0)
  t.equal(look(watermark, 9, []), 9)
})

t.test('it remembers no more than those who hold the lock', async t => {
  const watermark = new Watermark()
  look(watermark, 1, ['1/1'])
  for (let n = 2; n < 10_000; n++) look(watermark, n, ['1/1', `2/${n}`])
  t.equal(watermark.settled, 0)
  t.equal(look(watermark, 10_000, []), 10_000)
})

// Against a model of the server, in which everything happens in any order.

interface Transaction {
  /** As pg_locks names it, once it has the lock. */
  name: string
  readonly ids: number[]
  state: 'begun' | 'locked' | 'prepared' | 'visible' | 'over'
}

class Server {
  life = 0
  sequence = 0
  /** What the sequence is at least, after a crash. */
  durable = 0
  #names = 0
  transactions: Transaction[] = []

  begin(): void {
    this.transactions.push({ name: `3/${++this.#names}`, ids: [], state: 'begun' })
  }

  act(transaction: Transaction, chance: number): void {
    const { ids, state } = transaction
    if (state === 'begun') transaction.state = 'locked'
    else if (state === 'visible') transaction.state = 'over'
    else if (state === 'locked' && chance < 0.5) ids.push(++this.sequence)
    else if (state === 'locked' && chance < 0.6) {
      // The lock changes its owner at once.
      transaction.name = `-1/${++this.#names}`
      transaction.state = 'prepared'
      this.durable = Math.max(this.durable, ...ids)
    } else if (chance < 0.9) {
      // First the others see it, then it gives the lock away.
      transaction.state = 'visible'
      this.durable = Math.max(this.durable, ...ids)
    } else transaction.state = 'over'
    this.transactions = this.transactions.filter(one => one.state !== 'over')
  }

  crash(chance: number): void {
    this.life++
    this.transactions = this.transactions.filter(one => one.state === 'prepared')
    this.sequence = this.durable + Math.floor(chance * (this.sequence - this.durable + 1))
  }

  get holders(): string[] {
    return this.transactions.filter(({ state }) => state !== 'begun').map(({ name }) => name)
  }

  /** The lowest number that may still appear. */
  get lowestToCome(): number {
    const open = this.transactions.filter(({ state }) => state === 'locked' || state === 'prepared')
    return Math.min(this.sequence + 1, ...open.flatMap(({ ids }) => ids))
  }
}

/** @returns how often something was settled that others were still behind of */
function run(t: Test, seed: number): number {
  const chance = random(seed)
  const server = new Server()
  const watermark = new Watermark()
  const crashes = seed % 4 === 0
  const looks: { highest: number; open: readonly Transaction[] }[] = []
  let half: { life: string; highest: number } | undefined
  let progress = 0
  const fail = (problem: string) => t.fail(`${problem} (seed ${seed})`)
  for (let step = 0; step < 400; step++) {
    const what = chance()
    const { transactions } = server
    if (what < 0.15 && transactions.length < 8) server.begin()
    else if (crashes && what < 0.16) {
      server.crash(chance())
      looks.length = 0
    } else if (what < 0.4) {
      if (half === undefined) {
        half = { life: String(server.life), highest: server.sequence }
        if (!watermark.look(half)) half = undefined
      } else {
        const { epoch } = watermark
        const before = watermark.settled
        const { holders } = server
        watermark.lookAtHolders({ life: String(server.life), holders })
        if (watermark.epoch === epoch && watermark.settled < before) fail('what was settled is not')
        if (watermark.settled > before && transactions.length > 0) progress++
        if (watermark.epoch === epoch)
          looks.push({ highest: half.highest, open: transactions.filter(({ state }) => state !== 'begun') })
        else looks.length = 0
        // What was open at an earlier look and is over now holds nothing back.
        if (!holders.some(holder => holder.startsWith('-1/'))) {
          const over = looks.filter(({ open }) => open.every(({ state }) => state === 'over'))
          const highest = Math.max(0, ...over.map(one => one.highest))
          if (watermark.settled < highest && over.length > 0) fail(`${highest} is not settled`)
        }
        half = undefined
      }
    } else if (transactions.length > 0) {
      server.act(transactions[Math.floor(chance() * transactions.length)] as Transaction, chance())
    }
    if (watermark.life === String(server.life) && watermark.settled >= server.lowestToCome) {
      fail(`${server.lowestToCome} can appear, and ${watermark.settled} is settled`)
      break
    }
  }
  for (const transaction of server.transactions) transaction.state = 'over'
  server.transactions = []
  half = undefined
  if (look(watermark, server.sequence, [], String(server.life)) !== server.sequence)
    fail('not all is settled')
  return progress
}

t.test('whatever happens in between, nothing appears that was settled, and all is in the end', async t => {
  let progress = 0
  for (let seed = 1; seed <= 3_000 && t.passing(); seed++) progress += run(t, seed)
  t.ok(progress > 10_000, `${progress} times it went on while somebody was writing`)
})
