import { randomUUID } from 'node:crypto'
import t from 'tap'
import {
  Aggregate,
  AggregateNotFoundError,
  Application,
  aesGcm,
  deflate,
  OriginatorVersionConflictError,
} from '../../plugins/events/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Dog, Invoice, schoolOn, TrainingSchool } from './school.ts'

// The stories of the README, and what an application promises.

const purring = {
  Found(cat: Cat, { name }: { name: string }) {
    cat.name = name
  },
}

class Cat extends Aggregate<typeof purring> {
  static override readonly appliers = purring
  name = ''
}

await onEveryBackend(t, (t, backend) => {
  t.test('the training school', async t => {
    const { school, app } = await schoolOn(t, backend)
    await school.register('Fido')
    await school.addTrick('Fido', 'roll over')
    await school.addTrick('Fido', 'play dead')
    t.same(await school.tricks('Fido'), ['roll over', 'play dead'])
    const again = new TrainingSchool({ ...school.options })
    t.same(await again.tricks('Fido'), ['roll over', 'play dead'], 'from the database')
    t.same((await app.events.repository.get(Dog.idOf('Fido'))).version, 3)
    await again.close()
  })

  t.test('the places of what was saved are in order', async t => {
    const { school } = await schoolOn(t, backend)
    const dog = Dog.register('Fido')
    dog.addTrick('sit')
    const first = await school.save(dog)
    const second = await school.save(Dog.register('Rex'))
    t.same(
      first.map(({ event: { topic, data }, id }) => ({ topic, data, id })),
      [
        { topic: 'Dog.Registered', data: { name: 'Fido' }, id: 1 },
        { topic: 'Dog.TrickAdded', data: { trick: 'sit' }, id: 2 },
      ],
    )
    t.same(
      second.map(({ id }) => id),
      [3],
    )
    t.equal(await school.recorder.maxNotificationId(), 3)
  })

  t.test('repository.get: as it was, of which class, and what is not there', async t => {
    const { school } = await schoolOn(t, backend)
    const animals = new Application<typeof Dog | typeof Cat>({ ...school.options, aggregates: [Dog, Cat] })
    const dog = await school.register('Fido')
    await school.addTrick('Fido', 'sit')
    const cat = Cat.create('Found', { name: 'Tom' })
    await animals.save(cat)
    t.same((await school.repository.get(dog.id, { version: 1 })).tricks, [])
    t.same((await school.repository.get(dog.id, { version: 2 })).tricks, ['sit'])
    t.same((await school.repository.get(dog.id.toUpperCase())).tricks, ['sit'])
    t.equal((await animals.repository.get(cat.id, { as: Cat })).name, 'Tom')
    t.equal((await animals.repository.get(dog.id, { as: Dog })).tricks.length, 1)
    const missing: [Parameters<typeof animals.repository.get>, RegExp][] = [
      [[cat.id, { as: Dog }], /no aggregate '.*' of class Dog/],
      [[dog.id, { version: 3 }], /no aggregate '.*' of version 3/],
      [[dog.id, { version: 0 }], /of version 0/],
      [[dog.id, { version: 1.5 }], /of version 1.5/],
      [[randomUUID()], /no aggregate '[0-9a-f-]*'$/],
      [['no uuid'], /no aggregate 'no uuid'$/],
    ]
    for (const [parameters, message] of missing) {
      const error = await animals.repository.get(...parameters).then(
        () => undefined,
        error => error,
      )
      t.ok(error instanceof AggregateNotFoundError)
      t.match(error, { code: 'SQLA_ERR_AGGREGATE_NOT_FOUND', statusCode: 404, message })
    }
    await school.transaction(async () => {
      await t.rejects(school.repository.get('no uuid'), AggregateNotFoundError)
      t.equal((await school.get('Fido')).version, 2, 'which does not end a transaction')
    })
    await t.rejects(school.repository.get(cat.id), { code: 'SQLA_ERR_EVENT_UNKNOWN' })
  })

  t.test('compressed and encrypted, all is the same', async t => {
    const { school } = await schoolOn(t, backend)
    const secret = new TrainingSchool({
      ...school.options,
      compressor: deflate(),
      cipher: aesGcm({ keys: { a: Buffer.alloc(32, 7) }, current: 'a' }),
      snapshotEvery: 2,
    })
    await secret.register('Fido')
    await secret.addTrick('Fido', 'a rather secret trick')
    t.same(await secret.tricks('Fido'), ['a rather secret trick'])
    const [, stored] = await school.recorder.selectEvents(Dog.idOf('Fido'))
    t.notOk(Buffer.from(stored?.state ?? []).includes('secret'))
    await t.rejects(school.get('Fido'), { code: 'SQLA_ERR_EVENT_UNREADABLE' })
  })

  t.test('who is slower is told so, and can try again', async t => {
    const { school } = await schoolOn(t, backend)
    await school.register('Fido')
    const [one, two] = [await school.get('Fido'), await school.get('Fido')]
    one.addTrick('sit')
    two.addTrick('roll')
    await school.save(one)
    const error = await school.save(two).catch(error => error)
    t.ok(error instanceof OriginatorVersionConflictError)
    t.match(error, { code: 'SQLA_ERR_VERSION_CONFLICT', statusCode: 409 })
    t.equal(error.cause.name, 'UniqueConstraintViolationException')
    t.equal(two.pendingEvents.length, 1)
    await school.addTrick('Fido', 'roll')
    t.same(await school.tricks('Fido'), ['sit', 'roll'])
  })

  t.test('subscribe: what is there and what comes, also when it is begun inside a transaction', async t => {
    const { school } = await schoolOn(t, backend)
    await school.register('Fido')
    const seen: string[] = []
    const ending = new AbortController()
    let reading: Promise<void> = Promise.resolve()
    const read = async () => {
      for await (const { data } of school.subscribe({ signal: ending.signal, topics: ['Dog.Registered'] })) {
        seen.push((data as { name: string }).name)
        if (seen.length === 3) ending.abort()
      }
    }
    await school.transaction(async () => {
      if (backend.dialect === 'postgresql') reading = read()
      await school.register('Rex')
    })
    if (backend.dialect !== 'postgresql') reading = read()
    await school.register('Buster')
    await reading
    t.same(seen, ['Fido', 'Rex', 'Buster'])
  })

  t.test('a subscription of a session outlives it', async t => {
    const { school, app } = await schoolOn(t, backend)
    const { subscription } = await app.sqlAssist.run(async db => ({
      subscription: school.at(db.writer).subscribe(),
    }))
    await school.register('Fido')
    t.match(await subscription.next(), { done: false, value: { data: { name: 'Fido' } } })
    await subscription.return()
  })

  t.test('closed, it ends its subscriptions, and those of nobody else', async t => {
    const { school } = await schoolOn(t, backend)
    const other = new TrainingSchool({ ...school.options })
    const names = async (from: TrainingSchool) => {
      const seen: string[] = []
      for await (const { data } of from.subscribe()) {
        seen.push((data as { name: string }).name)
        if (seen.length === 2) break
      }
      return seen
    }
    const ended = names(other)
    const goesOn = names(school)
    await school.register('Fido')
    await other.close()
    await ended
    await school.register('Rex')
    t.same(await goesOn, ['Fido', 'Rex'])
  })

  t.test(
    'a session can flush when it likes: by itself before queries and at the end, or not before it is told',
    async t => {
      const { school, invoiced } = await schoolOn(t, backend)
      await school.transaction(async session => {
        session.persist(session.create(Invoice, { dog: 'automatically' }))
        t.equal(await session.count(Invoice, { dog: 'automatically' }), 1, 'flushed before the query')
      })
      await school.transaction(async session => {
        session.setFlushMode('commit')
        session.persist(session.create(Invoice, { dog: 'at the commit' }))
        t.equal(await session.count(Invoice, { dog: 'at the commit' }), 0)
        await school.register('Buster')
      })
      await school.transaction(async session => {
        session.persist(session.create(Invoice, { dog: 'for one query' }))
        t.equal(await session.count(Invoice, { dog: 'for one query' }, { flushMode: 'commit' }), 0)
      })
      t.same((await invoiced()).sort(), ['at the commit', 'automatically', 'for one query'])
    },
  )

  t.test('flushMode of the whole engine', async t => {
    const { school, invoiced } = await schoolOn(t, backend, { orm: { flushMode: 'commit' } })
    await school.transaction(async session => {
      session.persist(session.create(Invoice, { dog: 'late' }))
      t.equal(await session.count(Invoice, { dog: 'late' }), 0)
    })
    t.same(await invoiced(), ['late'])
  })
})
