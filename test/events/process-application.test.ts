import { randomUUID } from 'node:crypto'
import t from 'tap'
import { Aggregate } from '../../plugins/events/aggregate.ts'
import type { RecordedEvent } from '../../plugins/events/domain-event.ts'
import { ProcessApplication, type ProcessingEvent } from '../../plugins/events/process-application.ts'
import { Account, onEveryBank, until } from './followed-app.ts'

const appliers = {
  Opened: (_ledger: Ledger, _data: Record<string, never>) => {},
  Entered: (ledger: Ledger, { amount }: { amount: number }) => {
    ledger.sum += amount
    ledger.entries++
  },
}

class Ledger extends Aggregate<typeof appliers> {
  static override readonly appliers = appliers
  sum = 0
  entries = 0

  static open(id: string): Ledger {
    return Ledger.create('Opened', {}, { id })
  }

  enter(amount: number): void {
    this.trigger('Entered', { amount })
  }
}

class Books extends ProcessApplication<typeof Ledger> {
  policy = async (_event: RecordedEvent, _process: ProcessingEvent): Promise<void> => {}
}

await onEveryBank(t, async (t, { bank, engine, lines }) => {
  let made = 0
  /** With a ledger that all deposits are entered in. */
  const booksOf = async (): Promise<{ books: Books; id: string }> => {
    const books = new Books({ on: engine, aggregates: [Ledger], name: `books${++made}` })
    t.teardown(() => books.close())
    await books.createTables()
    const id = randomUUID()
    await books.save(Ledger.open(id))
    books.policy = async ({ topic, data }, process) => {
      if (topic !== 'Account.Deposited') return
      const ledger = await books.repository.get(id)
      ledger.enter((data as { amount: number }).amount)
      process.collect(ledger)
    }
    return { books, id }
  }

  t.test('what an event leads to is recorded with how far it has come', async t => {
    const { books, id } = await booksOf()
    const runner = books.follow(bank)
    t.equal(runner.name, 'Bank')
    t.teardown(() => runner.stop())
    await runner.start()
    const recordings = await bank.save(Account.open('Ada').deposit(1).deposit(2))
    await runner.wait(recordings, { timeout: 20_000 })
    t.match(await books.repository.get(id), { sum: 3, entries: 2, version: 3 })
    const last = await books.recorder.tracking.maxTrackingId('Bank')
    t.equal(last, await bank.settled())
    await runner.stop()
    await bank.save(Account.open('Ada').deposit(4))
    const again = books.follow(bank)
    t.teardown(() => again.stop())
    await again.start()
    await again.wait(await bank.settled(), { timeout: 20_000 })
    t.match(await books.repository.get(id), { sum: 7, entries: 3 }, 'another run goes on from there')
    await again.stop()
  })

  t.test('two runners without an election enter everything once', async t => {
    const { books, id } = await booksOf()
    const runners = [1, 2].map(() => books.follow(bank, { elect: false, topics: ['Account.Deposited'] }))
    t.teardown(() => Promise.all(runners.map(runner => runner.stop())))
    const deposits = (
      await bank.recorder.selectNotifications({ limit: 1_000, topics: ['Account.Deposited'] })
    ).length
    await Promise.all(runners.map(runner => runner.start()))
    for (let round = 0; round < 10; round++) await bank.save(Account.open('Ada').deposit(1))
    await runners[0]?.wait(await bank.settled(), { timeout: 20_000 })
    t.equal((await books.repository.get(id)).entries, deposits + 10)
    await Promise.all(runners.map(runner => runner.stop()))
  })

  t.test('when somebody else was quicker, the policy decides again', async t => {
    const { books, id } = await booksOf()
    const { policy } = books
    let interferences = 3
    let calls = 0
    books.policy = async (event, process) => {
      calls++
      await policy(event, process)
      if (process.aggregates.length === 0 || interferences-- <= 0) return
      const ledger = await books.repository.get(id)
      ledger.enter(1_000)
      await books.save(ledger)
    }
    const runner = books.follow(bank, { topics: ['Account.Deposited'] })
    t.teardown(() => runner.stop())
    const deposits = await bank.notificationLog.select({ limit: 1_000, topics: ['Account.Deposited'] })
    await runner.start()
    await runner.wait(await bank.settled(), { timeout: 20_000 })
    const sum = deposits.reduce((all, { data }) => all + (data as { amount: number }).amount, 3_000)
    t.match(await books.repository.get(id), { sum, entries: deposits.length + 3 })
    t.equal(calls, deposits.length + 3)
    await runner.stop()
  })

  t.test('a conflict that does not end stops it, and neither events nor tracking are there', async t => {
    const { books, id } = await booksOf()
    books.policy = async (_event, process) => process.collect(Ledger.open(id))
    const runner = books.follow(bank, { name: 'stuck' })
    t.teardown(() => runner.stop())
    await runner.start()
    await t.rejects(runner.done, {
      code: 'SQLA_ERR_PROJECTION_FAILED',
      cause: { code: 'SQLA_ERR_VERSION_CONFLICT' },
    })
    t.equal(await books.recorder.tracking.maxTrackingId('stuck'), 0)
    t.equal((await books.repository.get(id)).version, 1)
    t.ok(lines.some(({ level }) => level === 'error'))
  })

  t.test('a policy that throws stops it', async t => {
    const { books } = await booksOf()
    books.policy = async () => {
      throw new RangeError('no policy')
    }
    const runner = books.follow(bank)
    await runner.start()
    await t.rejects(runner.done, { code: 'SQLA_ERR_PROJECTION_FAILED', cause: { message: 'no policy' } })
    await t.rejects(runner.wait(1), { code: 'SQLA_ERR_PROJECTION_FAILED' })
  })

  t.test('an application can follow itself', async t => {
    const { books, id } = await booksOf()
    books.policy = async ({ topic, data }, process) => {
      const { amount } = data as { amount: number }
      if (topic !== 'Ledger.Entered' || amount <= 1) return
      const ledger = await books.repository.get(id)
      ledger.enter(amount - 1)
      process.collect(ledger, ledger)
    }
    const runner = books.follow(books, { name: 'itself' })
    t.teardown(() => runner.stop())
    await runner.start()
    const ledger = await books.repository.get(id)
    ledger.enter(4)
    await books.save(ledger)
    await until(async () => (await books.repository.get(id)).entries === 4, 'it has counted down')
    t.equal((await books.repository.get(id)).sum, 10)
    await runner.wait(await books.settled(), { timeout: 20_000 })
    await runner.stop()
  })
})
