import { randomBytes } from 'node:crypto'
import {
  CommandHandler,
  DeciderCommandHandler,
  DeciderSpecification,
  type Event,
  type ExpectedStreamVersion,
  ExpectedVersionConflictError,
  isExpectedVersionConflictError,
  NO_CONCURRENCY_CHECK,
  type ReadStreamOptions,
  STREAM_DOES_NOT_EXIST,
  STREAM_EXISTS,
} from '@event-driven-io/emmett'
import t from 'tap'
import { Aggregate } from '../../plugins/events/aggregate.ts'
import { aesGcm } from '../../plugins/events/cipher.ts'
import { emmettEventStore } from '../../plugins/events/emmett.ts'
import { emmettEventOf } from '../../plugins/events/emmett-events.ts'
import { errors } from '../../plugins/events/errors.ts'
import { onEveryBackend } from '../support/backends.ts'
import { streamApp } from './emmett-app.ts'
import {
  added,
  addProduct,
  type Cart,
  type CartCommand,
  type CartEvent,
  decider,
  evolve,
  initialState,
} from './shopping-cart.ts'

type Numbered = Event<'Numbered', { readonly n: number }>

const numbered = (n: number): Numbered => ({ type: 'Numbered', data: { n } })

const numbers = (events: readonly { readonly data: unknown }[]) =>
  events.map(({ data }) => (data as Numbered['data']).n)

const names = (events: readonly CartEvent[]) =>
  events.map(({ data }) => ('product' in data ? data.product.name : ''))

/** How {@link ExpectedVersionConflictError} looks. */
const CONFLICT = { errorCode: 412, statusCode: 412 } as unknown as Error

const carts = DeciderCommandHandler<Cart, CartCommand, CartEvent>(decider)

await onEveryBackend(t, async (t, backend) => {
  const { app, events, inRequest } = await streamApp(t, backend)
  const store = emmettEventStore(events)

  t.test('an event comes back as it was appended, with its places', async t => {
    const at = new Date('2026-01-02T03:04:05.006Z')
    const product = { name: 'Shoes', quantity: 2, price: 9_007_199_254_740_993n }
    const result = await store.appendToStream<CartEvent>('cart-1', [
      { type: 'ProductAdded', data: { product } },
      { type: 'CartConfirmed', data: { at } },
    ])
    const { lastEventGlobalPosition } = result
    t.ok((lastEventGlobalPosition ?? 0n) >= 2n, 'a place in the log')
    t.strictSame(result, { nextExpectedStreamVersion: 2n, createdNewStream: true, lastEventGlobalPosition })

    const read = await store.readStream<CartEvent>('cart-1')
    t.strictSame([read.currentStreamVersion, read.streamExists], [2n, true])
    t.strictSame(
      read.events.map(({ type, kind, data }) => ({ type, kind, data })),
      [
        { type: 'ProductAdded', kind: 'Event', data: { product } },
        { type: 'CartConfirmed', kind: 'Event', data: { at } },
      ],
    )
    const [first, second] = read.events.map(({ metadata }) => metadata)
    t.match(first, { streamName: 'cart-1', streamPosition: 1n, messageId: /^[\da-f-]{36}$/ })
    t.match(second, { streamName: 'cart-1', streamPosition: 2n, globalPosition: lastEventGlobalPosition })
    t.ok((first?.globalPosition ?? 0n) < (second?.globalPosition ?? 0n))
    t.not(first?.messageId, second?.messageId)
    const again = await store.readStream<CartEvent>('cart-1')
    t.equal(again.events[0]?.metadata.messageId, first?.messageId, 'an id for good')
  })

  t.test("an event's own metadata comes back beside ours", async t => {
    type Tracked = Event<'Tracked', { n: number }, { user: string; messageId?: string; streamName?: string }>
    await store.appendToStream<Tracked>('metadata', [
      { type: 'Tracked', data: { n: 1 }, metadata: { user: 'ann' } },
      {
        type: 'Tracked',
        data: { n: 2 },
        metadata: { user: 'bob', messageId: 'mine', streamName: 'not mine' },
      },
    ])
    const { events } = await store.readStream<Tracked>('metadata')
    t.match(events[0]?.metadata, { user: 'ann', streamName: 'metadata', streamPosition: 1n })
    t.match(events[1]?.metadata, { user: 'bob', messageId: 'mine', streamName: 'metadata' })
  })

  t.test('a part of a stream is read by position, from and to inclusive', async t => {
    await store.appendToStream(
      'parts',
      [1, 2, 3, 4, 5].map(n => numbered(n)),
    )
    const cases: [options: ReadStreamOptions<bigint, Numbered> | undefined, expected: number[]][] = [
      [undefined, [1, 2, 3, 4, 5]],
      [{}, [1, 2, 3, 4, 5]],
      [{ from: 0n }, [1, 2, 3, 4, 5]],
      [{ from: 3n }, [3, 4, 5]],
      [{ from: 6n }, []],
      [{ to: 2n }, [1, 2]],
      [{ to: 0n }, []],
      [{ from: 2n, to: 4n }, [2, 3, 4]],
      [{ maxCount: 2n }, [1, 2]],
      [{ maxCount: 0n }, []],
      [{ from: 2n, maxCount: 2n }, [2, 3]],
      [{ from: 2n, to: 2n, maxCount: 2n }, [2]],
    ]
    for (const [options, expected] of cases) {
      const read = await store.readStream<Numbered>('parts', options)
      const name = JSON.stringify(options, (_, value) => (typeof value === 'bigint' ? `${value}n` : value))
      t.same(numbers(read.events), expected, name)
      t.strictSame([read.currentStreamVersion, read.streamExists], [5n, true], `${name}: all of the stream`)
    }
    t.strictSame(await store.readStream('nobody'), {
      currentStreamVersion: 0n,
      events: [],
      streamExists: false,
    })
    t.strictSame(await store.readStream('nobody', { from: 2n, maxCount: 1n }), {
      currentStreamVersion: 0n,
      events: [],
      streamExists: false,
    })
  })

  t.test('a stream exists from its first event on', async t => {
    t.equal(await store.streamExists('exists'), false)
    await store.appendToStream('exists', [numbered(1)])
    t.equal(await store.streamExists('exists'), true)
    t.equal(await store.streamExists('Exists'), false, 'names are told apart by case')
  })

  t.test('a state is what its events have made of the first one', async t => {
    await store.appendToStream<CartEvent>('cart-2', [added('Shoes', 2, 50n), added('Hat', 1, 30n)])
    const read = await store.aggregateStream<Cart, CartEvent>('cart-2', { evolve, initialState })
    t.strictSame(read, {
      currentStreamVersion: 2n,
      streamExists: true,
      state: { status: 'open', quantities: { Shoes: 2, Hat: 1 }, total: 130n },
    })
    const first = await store.aggregateStream<Cart, CartEvent>('cart-2', {
      evolve,
      initialState,
      read: { to: 1n },
    })
    t.strictSame([first.state.quantities, first.currentStreamVersion], [{ Shoes: 2 }, 2n])
    const none = await store.aggregateStream<Cart, CartEvent>('cart-none', { evolve, initialState })
    t.strictSame(none, { currentStreamVersion: 0n, streamExists: false, state: initialState() })
  })

  const expectations: [expected: ExpectedStreamVersion | undefined, onNone: boolean, onTwo: boolean][] = [
    [undefined, true, true],
    [NO_CONCURRENCY_CHECK, true, true],
    [STREAM_DOES_NOT_EXIST, true, false],
    [STREAM_EXISTS, false, true],
    [0n, true, false],
    [1n, false, false],
    [2n, false, true],
    [3n, false, false],
  ]
  for (const where of ['by itself', 'in a request'] as const) {
    t.test(`the version that is expected is enforced ${where}`, async t => {
      const inside = <R>(work: (own: typeof store) => Promise<R>): Promise<R> =>
        where === 'by itself' ? work(store) : inRequest(events => work(emmettEventStore(events)))
      let streams = 0
      for (const [expected, onNone, onTwo] of expectations) {
        const options = expected === undefined ? undefined : { expectedStreamVersion: expected }
        for (const [state, may] of [
          ['a new stream', onNone],
          ['a stream of two', onTwo],
        ] as const) {
          const name = `${where}, ${state} ${streams++}`
          if (state === 'a stream of two') await store.appendToStream(name, [numbered(1), numbered(2)])
          const said = `${state}, ${String(expected)}`
          const before = state === 'a stream of two' ? 2n : 0n
          for (const attempt of ['read', 'append'] as const) {
            const result = await inside(async own =>
              attempt === 'read'
                ? own.readStream(name, options)
                : own.appendToStream(name, [numbered(3)], options),
            ).catch((error: unknown) => error)
            if (may) t.notOk(result instanceof Error, `${attempt}: ${said}: fits`)
            else t.ok(result instanceof ExpectedVersionConflictError, `${attempt}: ${said}: is refused`)
            if (!may)
              t.match(result, { current: String(before), expected: String(expected), statusCode: 412 })
          }
          const { currentStreamVersion } = await store.readStream(name)
          t.equal(currentStreamVersion, may ? before + 1n : before, `${said}: afterwards`)
        }
      }
    })
  }

  t.test('to append nothing does nothing but check the version', async t => {
    const nothing = {
      nextExpectedStreamVersion: 0n,
      createdNewStream: false,
      lastEventGlobalPosition: undefined,
    }
    t.strictSame(await store.appendToStream('nothing', []), nothing)
    t.strictSame(
      await store.appendToStream('nothing', [], { expectedStreamVersion: STREAM_DOES_NOT_EXIST }),
      nothing,
    )
    await t.rejects(store.appendToStream('nothing', [], { expectedStreamVersion: 1n }), CONFLICT)
    t.equal(await store.streamExists('nothing'), false)
    await store.appendToStream('something', [numbered(1)])
    await t.rejects(
      store.appendToStream('something', [], { expectedStreamVersion: STREAM_DOES_NOT_EXIST }),
      CONFLICT,
    )
  })

  t.test('of twenty who append at once without a check all do', async t => {
    await store.appendToStream('crowd', [numbered(-1), numbered(-1)])
    await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        store.appendToStream(
          'crowd',
          [numbered(n), numbered(n)],
          n % 2 === 0 ? {} : { expectedStreamVersion: STREAM_EXISTS },
        ),
      ),
    )
    const { events } = await store.readStream<Numbered>('crowd')
    t.equal(events.length, 42)
    const pairs = Array.from({ length: 21 }, (_, place) => numbers(events.slice(2 * place, 2 * place + 2)))
    t.ok(
      pairs.every(([first, second]) => first === second),
      'what was appended together is together',
    )
    t.strictSame(
      events.map(({ metadata }) => metadata.streamPosition),
      Array.from({ length: 42 }, (_, place) => BigInt(place + 1)),
    )
  })

  t.test('of twenty who append at once at the same version one does', async t => {
    await store.appendToStream('race', [numbered(0)])
    for (const expectedStreamVersion of [1n, STREAM_DOES_NOT_EXIST]) {
      const name = expectedStreamVersion === 1n ? 'race' : 'another race'
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, (_, n) =>
          store.appendToStream(name, [numbered(n)], { expectedStreamVersion }),
        ),
      )
      const refused = results.filter(result => result.status === 'rejected').map(({ reason }) => reason)
      t.equal(refused.length, 19, String(expectedStreamVersion))
      t.ok(refused.every(isExpectedVersionConflictError))
      t.ok(
        refused.every(reason => reason instanceof ExpectedVersionConflictError),
        "by emmett's own error",
      )
      t.equal((await store.readStream(name)).events.length, expectedStreamVersion === 1n ? 2 : 1)
    }
  })

  t.test('what a request appends is there for it at once, and for others once it is committed', async t => {
    await inRequest(async (events, session) => {
      const own = emmettEventStore(events)
      await own.appendToStream<CartEvent>('cart-3', [added('Shoes')])
      await own.appendToStream<CartEvent>('cart-3', [added('Hat')], { expectedStreamVersion: 1n })
      const read = await own.readStream<CartEvent>('cart-3')
      t.same(names(read.events), ['Shoes', 'Hat'])
      await session.commit()
      t.equal((await store.readStream('cart-3')).currentStreamVersion, 2n)
      await own.appendToStream<CartEvent>('cart-3', [added('Coat')])
      await session.rollback()
      t.equal((await own.readStream('cart-3')).currentStreamVersion, 2n, 'undone')
      await own.appendToStream<CartEvent>('cart-3', [added('Bag')], { expectedStreamVersion: 2n })
    })
    const { events } = await store.readStream<CartEvent>('cart-3')
    t.same(names(events), ['Shoes', 'Hat', 'Bag'])
    const failed = inRequest(async events => {
      await emmettEventStore(events).appendToStream<CartEvent>('cart-3', [added('Socks')])
      throw new Error('changed my mind')
    })
    await t.rejects(failed, { message: 'changed my mind' })
    t.equal((await store.readStream('cart-3')).currentStreamVersion, 3n)
  })

  if (backend.dialect === 'mysql') {
    t.test('an old snapshot does not keep a request from appending without a check', async t => {
      await store.appendToStream('snapshot', [numbered(1)])
      await inRequest(async events => {
        const own = emmettEventStore(events)
        await own.readStream('snapshot')
        await store.appendToStream('snapshot', [numbered(2), numbered(3)])
        t.equal((await own.readStream('snapshot')).currentStreamVersion, 1n, 'the snapshot is old')
        t.match(await own.appendToStream('snapshot', [numbered(4)]), { nextExpectedStreamVersion: 4n })
      })
      t.same(numbers((await store.readStream('snapshot')).events), [1, 2, 3, 4])
    })
  }

  t.test('a session is enough', async t => {
    const { name, schema, tables } = events.options
    const options = { ...(name && { name }), ...(schema && { schema }), ...(tables && { tables }) }
    await app.sqlAssist.run(async db => {
      const own = emmettEventStore(db.get('writer' as never), options)
      await own.appendToStream<CartEvent>('cart-4', [added('Shoes')])
      t.equal((await own.readStream('cart-4')).currentStreamVersion, 1n)
    })
    t.equal((await store.readStream('cart-4')).currentStreamVersion, 1n)
  })

  t.test('old events are read as new ones, and new ones can be stored as old ones', async t => {
    type Old = Event<'Numbered', { readonly text: string }>
    const upcast = ({ type, data }: Old): Numbered => ({ type, data: { n: Number(data.text) } })
    const downcast = ({ type, data }: Numbered): Old => ({ type, data: { text: String(data.n) } })
    await store.appendToStream<Numbered, Old>('versions', [numbered(7)], {
      schema: { versioning: { downcast } },
    })
    t.strictSame((await store.readStream<Old>('versions')).events[0]?.data, { text: '7' })
    const read = await store.readStream<Numbered, Old>('versions', { schema: { versioning: { upcast } } })
    t.strictSame(read.events[0]?.data, { n: 7 })
    t.match(read.events[0]?.metadata, { streamName: 'versions', streamPosition: 1n })
    const { state } = await store.aggregateStream<number, Numbered, Old>('versions', {
      initialState: () => 1,
      evolve: (sum: number, { data }: Numbered) => sum + data.n,
      read: { schema: { versioning: { upcast } } },
    })
    t.equal(state, 8)
  })

  t.test('a decider handles the commands of a shopping cart', async t => {
    const id = 'cart-5'
    const opened = await carts(store, id, addProduct('Shoes', 2))
    t.match(opened, { nextExpectedStreamVersion: 1n, createdNewStream: true })
    const at = new Date('2026-05-06T07:08:09Z')
    const { newState, nextExpectedStreamVersion } = await carts(store, id, [
      { type: 'RemoveProduct', data: { name: 'Shoes', quantity: 1 } },
      { type: 'ConfirmCart', data: { at } },
    ])
    t.equal(nextExpectedStreamVersion, 3n)
    t.strictSame(newState, { status: 'confirmed', quantities: { Shoes: 1 }, total: 200n, confirmedAt: at })
    await t.rejects(carts(store, id, addProduct('Hat')), { message: 'the cart is confirmed' })
    const { state } = await store.aggregateStream<Cart, CartEvent>(id, { evolve, initialState })
    t.strictSame(state, newState, 'what is stored is what was answered')
    const given = DeciderSpecification.for<CartCommand, CartEvent, Cart>(decider)
    const { events } = await store.readStream<CartEvent>(id)
    given(events.slice(0, 1))
      .when({ type: 'RemoveProduct', data: { name: 'Shoes', quantity: 3 } })
      .thenThrows((error: Error) => error.message === 'there are not so many of Shoes')
  })

  t.test('a command that somebody was quicker than is tried again', async t => {
    const handle = CommandHandler<Cart, CartEvent>({ evolve, initialState })
    await store.appendToStream<CartEvent>('cart-6', [added('Shoes')])
    const seen: string[][] = []
    const interrupted = (retries: number) =>
      handle(
        store,
        'cart-6',
        async cart => {
          seen.push(Object.keys(cart.quantities))
          if (seen.length === 1) await store.appendToStream<CartEvent>('cart-6', [added('Hat')])
          return added('Coat')
        },
        { retry: { onVersionConflict: { retries, minTimeout: 1 } } },
      )
    await t.rejects(interrupted(0), CONFLICT)
    seen.length = 0
    t.match(await interrupted(2), { nextExpectedStreamVersion: 4n, createdNewStream: false })
    t.same(seen, [
      ['Shoes', 'Hat'],
      ['Shoes', 'Hat'],
    ])
    await t.rejects(
      handle(store, 'cart-6', () => added('Bag'), { expectedStreamVersion: 2n }),
      CONFLICT,
    )
    await t.rejects(
      handle(store, 'cart-7', () => added('Bag'), { expectedStreamVersion: STREAM_EXISTS }),
      CONFLICT,
    )
    t.equal(await store.streamExists('cart-7'), false)
  })

  t.test('what was appended is in the log of the application, in its order', async t => {
    class Dog extends Aggregate<typeof Dog.appliers> {
      static override readonly appliers = { Registered: (_: Dog, __: { stream: string }) => {} }
    }
    const mixed = await streamApp(t, backend, { aggregates: [Dog] })
    const store = emmettEventStore(mixed.events)
    await store.appendToStream<CartEvent>('cart-8', [added('Shoes'), added('Hat')])
    await mixed.events.save(Dog.create('Registered', { stream: 'cart-8' }))
    await store.appendToStream('numbers', [numbered(1)])
    const recorded = await mixed.events.notificationLog.select({ limit: 10 })
    t.same(
      recorded.map(({ topic }) => topic),
      ['ProductAdded', 'ProductAdded', 'Dog.Registered', 'Numbered'],
    )
    const [shoes, hat, dog, one] = recorded.map(event => emmettEventOf(event))
    t.strictSame(shoes, (await store.readStream('cart-8')).events[0])
    t.match(hat, { type: 'ProductAdded', metadata: { streamName: 'cart-8', streamPosition: 2n } })
    t.equal(dog, undefined, 'an event of an aggregate is none of Emmett')
    t.strictSame(one, (await store.readStream('numbers')).events[0])
    await t.rejects(
      store.appendToStream('dogs', [{ type: 'Dog.Registered', data: { stream: 'cart-8' } }]),
      { code: 'SQLA_ERR_EVENT_NOT_STORABLE' },
      'a type is not the topic of an aggregate',
    )
  })

  t.test('events are written as the application writes them', async t => {
    const { events } = await streamApp(t, backend, {
      cipher: aesGcm({ keys: { one: randomBytes(32) }, current: 'one' }),
    })
    const own = emmettEventStore(events)
    await own.appendToStream<CartEvent>('small', [added('Shoes')])
    const [row] = await events.recorder.selectNotifications({ limit: 1 })
    t.equal(String.fromCharCode(...(row?.state ?? [])).includes('Shoes'), false, 'encrypted')
    t.same(names((await own.readStream<CartEvent>('small')).events), ['Shoes'])
  })

  t.test('what cannot be stored is refused, and nothing of it is there', async t => {
    const events = [numbered(1), { type: 'Numbered' as const, data: { n: Symbol('x') as never } }]
    await t.rejects(store.appendToStream('refused', events), errors.SQLA_ERR_EVENT_NOT_STORABLE)
    const nameless = [{ type: '', data: { n: 1 } }]
    const options = { expectedStreamVersion: STREAM_DOES_NOT_EXIST }
    await t.rejects(store.appendToStream('refused', nameless, options), { code: 'SQLA_ERR_INVALID_OPTION' })
    t.equal(await store.streamExists('refused'), false)
  })
})
