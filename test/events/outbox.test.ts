import { randomUUID } from 'node:crypto'
import t from 'tap'
import { Outbox, type OutboxMessage, type OutboxOptions } from '../../plugins/events/outbox.ts'
import { Account, onEveryBank, until } from './followed-app.ts'

await onEveryBank(t, async (t, { bank, lines, total }) => {
  let made = 0
  const outboxOf = (options: Pick<OutboxOptions, 'publish'> & Partial<OutboxOptions>): Outbox => {
    const outbox = new Outbox({ application: bank, name: `outbox ${++made}`, ...options })
    t.teardown(() => outbox.stop())
    return outbox
  }

  t.test('each event is published with an id that is always the same', async t => {
    const id = randomUUID()
    const sent: OutboxMessage[] = []
    const outbox = outboxOf({ topics: ['Account.Deposited'], publish: message => sent.push(message) })
    await outbox.start()
    const recordings = await bank.save(Account.open('Ada', id).deposit(1).deposit(2))
    await outbox.wait(recordings, { timeout: 20_000 })
    t.match(
      sent.map(({ id, topic, data, originatorVersion }) => ({ id, topic, data, originatorVersion })),
      [
        { id: `${id}/2`, topic: 'Account.Deposited', data: { amount: 1 }, originatorVersion: 2 },
        { id: `${id}/3`, topic: 'Account.Deposited', data: { amount: 2 }, originatorVersion: 3 },
      ],
    )
    t.equal(sent[0]?.position, await bank.recorder.notificationIdOf(id, 2))
    t.ok(sent[0]?.timestamp instanceof Date)
    await outbox.stop()
  })

  t.test('what cannot be published is published again, and nothing overtakes it', async t => {
    const sent: string[] = []
    const tried: string[] = []
    let failures = 3
    const outbox = outboxOf({
      async publish({ id }) {
        tried.push(id)
        if (sent.length === 1 && failures-- > 0) throw new RangeError('the broker is away')
        sent.push(id)
      },
    })
    const before = lines.length
    await bank.busy(3)
    await outbox.start()
    await until(() => outbox.status.state === 'retrying', 'it tries again')
    t.match(outbox.status.error, { message: 'the broker is away' })
    const position = outbox.status.position
    t.ok(position !== undefined && position > 0, 'it knows how far it is')
    await outbox.wait(await bank.settled(), { timeout: 20_000 })
    t.equal(sent.length, await total())
    t.equal(new Set(sent).size, sent.length)
    t.equal(tried.length, sent.length + 3)
    t.match(outbox.status, { state: 'running', error: undefined })
    t.equal(lines.slice(before).filter(({ level }) => level === 'warn').length, 1, 'it is logged once')
    await outbox.stop()
  })

  t.test('a stop waits for the message that is on its way, and none is lost', async t => {
    const sent: string[] = []
    let entered = Promise.withResolvers<void>()
    let leave = Promise.withResolvers<void>()
    const outbox = outboxOf({
      async publish({ id }) {
        entered.resolve()
        await leave.promise
        sent.push(id)
      },
    })
    await bank.busy(3)
    await outbox.start()
    await entered.promise
    const stopped = outbox.stop()
    leave.resolve()
    await stopped
    t.equal(sent.length, 1)
    t.equal(outbox.status.state, 'stopped')
    entered = Promise.withResolvers()
    leave = Promise.withResolvers()
    leave.resolve()
    await outbox.start()
    await outbox.wait(await bank.settled(), { timeout: 20_000 })
    t.equal(sent.length, await total())
    t.equal(new Set(sent).size, sent.length, 'nothing was published twice')
    await outbox.stop()
  })

  t.test('a stop does not wait until something can be published', async t => {
    const outbox = outboxOf({
      publish() {
        throw new RangeError('never')
      },
    })
    await bank.save(Account.open('Ada'))
    await outbox.start()
    await until(() => outbox.status.state === 'retrying', 'it tries again')
    await outbox.stop()
    t.equal(outbox.status.state, 'stopped')
    const sent: string[] = []
    const again = outboxOf({ name: outbox.name, publish: ({ id }) => sent.push(id) })
    await again.start()
    await again.wait(await bank.settled(), { timeout: 20_000 })
    t.equal(sent.length, await total(), 'what could not be published is not lost')
    await again.stop()
  })

  t.test('options that make no sense are refused', async t => {
    t.throws(() => new Outbox({ application: bank, name: '', publish() {} }), {
      code: 'SQLA_ERR_INVALID_OPTION',
    })
    t.throws(() => new Outbox({ application: bank, name: 'x', publish: 'y' as never }), {
      code: 'SQLA_ERR_INVALID_OPTION',
    })
    t.throws(() => new Outbox({ application: bank, name: 'x', batch: 0, publish() {} }), {
      code: 'SQLA_ERR_INVALID_OPTION',
    })
    await bank.transaction(async session => {
      t.throws(() => new Outbox({ application: bank.at(session), name: 'x', publish() {} }))
    })
  })
})
