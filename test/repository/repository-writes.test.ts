import t from 'tap'
import { comparison, limitOffset, orderBy, Repository } from '../../plugins/repository/index.ts'
import type { SqlEm } from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Author, library, Note, Seat, Tag, Ticket } from './library.ts'

await onEveryBackend(t, async (t, backend) => {
  const { em, within, sqlOf } = await library(t, backend)
  const authors = (on: SqlEm) => new Repository(Author, on)
  const tags = (on: SqlEm) => new Repository(Tag, on)

  t.test('add saves at once and brings back what the database filled in', t =>
    within(async em => {
      const ada = await authors(em).add({ name: 'Ada' })
      t.type(ada.id, 'number')
      t.equal(ada.status, 'draft')
      t.equal(await authors(em).count(), 1)
      t.strictSame(await sqlOf(() => em.flush()), [], 'nothing is left to do')
      ada.name = 'Ada L.'
      t.equal((await sqlOf(() => em.flush())).length, 1)
      const bob = em.create(Author, { name: 'Bob' }, { persist: false })
      t.equal(await authors(em).add(bob), bob, 'an entity is saved as it is')
      t.type(bob.id, 'number')
    }),
  )

  t.test('add of what is there already fails with 409 and leaves nothing for the next flush', async t => {
    await within(async em => {
      const bob = await authors(em).add({ name: 'Bob', email: 'b@x' })
      const notes = new Repository(Note, em)
      await t.rejects(
        em.transactional(inner => authors(inner).add({ name: 'Eve', email: 'b@x' })),
        { code: 'SQLA_ERR_UNIQUE_VIOLATION', statusCode: 409, fields: ['email'] },
      )
      await t.rejects(
        em.transactional(inner => new Repository(Note, inner).add({ title: null as never, author: bob })),
        {
          code: 'SQLA_ERR_NOT_NULL_VIOLATION',
        },
      )
      t.strictSame(await sqlOf(() => em.flush()), [])
      t.equal(await notes.count(), 0)
      t.equal(await authors(em).count(), 1)
    })
  })

  t.test("what MikroORM throws, when errors is 'driver'", t =>
    within(async em => {
      const plain = new Repository(Author, em, { errors: 'driver' })
      await plain.add({ name: 'Bob', email: 'b@x' })
      await t.rejects(
        em.transactional(inner =>
          new Repository(Author, inner, { errors: 'driver' }).add({ name: 'Eve', email: 'b@x' }),
        ),
        {
          name: 'UniqueConstraintViolationException',
        },
      )
    }),
  )

  t.test('addMany saves data and entities, in their order', t =>
    within(async em => {
      const given = em.create(Author, { name: 'c' }, { persist: false })
      const added = await authors(em).addMany([
        { name: 'b' },
        { name: 'a' },
        given,
        { name: 'd', email: 'd@x' },
      ])
      t.strictSame(
        added.map(({ name }) => name),
        ['b', 'a', 'c', 'd'],
      )
      t.equal(added[2], given)
      const ids = added.map(({ id }) => id)
      t.strictSame(
        ids,
        [...ids].sort((a, b) => a - b),
        'keys rise',
      )
      t.strictSame(await sqlOf(() => em.flush()), [])
      t.strictSame(await authors(em).addMany([]), [])
    }),
  )

  t.test('addMany with a row that is refused saves none, and manages none', async t => {
    const refused = { code: 'SQLA_ERR_UNIQUE_VIOLATION' }
    const on = em()
    // Authors take the unit of work everywhere, tags do not on PostgreSQL; 6,000 are several statements of either.
    for (const count of [3, 6_000]) {
      const names = Array.from({ length: count }, (_, at) => `n${Math.min(at, count - 2)}`)
      await t.rejects(tags(on).addMany(names.map(name => ({ name }))), refused)
      await t.rejects(authors(on).addMany(names.map(email => ({ name: 'x', email }))), refused)
      t.strictSame([await tags(on).count(), await authors(on).count()], [0, 0])
      t.strictSame([...on.getUnitOfWork().getIdentityMap().values()], [])
      t.strictSame(await sqlOf(() => on.flush()), [])
    }
    await within(async em => {
      const names = Array.from({ length: 6_000 }, (_, at) => ({ name: `n${Math.min(at, 5_998)}` }))
      await t.rejects(tags(em).addMany(names), refused)
      t.strictSame([...em.getUnitOfWork().getIdentityMap().values()], [], 'in a transaction')
    })
  })

  t.test('deleteMany outside a transaction leaves nothing in the identity map', async t => {
    const on = em()
    const [a, b] = await tags(on).addMany([{ name: 'gone a' }, { name: 'gone b' }])
    t.equal(await tags(on).deleteMany([a?.id as number, b?.id as number]), 2)
    t.equal(on.getUnitOfWork().getById(Tag, a?.id as never), undefined)
    t.strictSame(await sqlOf(() => on.flush()), [])
  })

  t.test('a name that is no field is refused before any SQL', async t => {
    const on = em()
    const wrong = JSON.parse('{"__proto__":1}')
    const calls: (() => Promise<unknown>)[] = [
      () => authors(on).add({ name: 'a', nme: 1 } as never),
      () => authors(on).add(wrong),
      () => authors(on).addMany([{ name: 'a', constructor: 1 } as never]),
      () => authors(on).update(1, { nme: 'x' } as never),
      () => authors(on).updateMany([{ id: 1, toString: 'x' } as never]),
      () => authors(on).upsert({ id: 1, name: 'a', nme: 'x' } as never),
      () => authors(on).getOrUpsert({ id: 1, name: 'a', nme: 'x' } as never),
      () => authors(on).getAndUpdate({ id: 1, nme: 'x' } as never),
      () => authors(on).upsert({ name: 'a' }, { matchFields: ['nme' as never] }),
      () => authors(on).upsert({ name: 'a' }, { matchFields: ['home.city' as never] }),
    ]
    for (const call of calls) {
      t.strictSame(
        await sqlOf(() => t.rejects(call(), { code: 'SQLA_ERR_UNKNOWN_FIELD', statusCode: 400 })),
        [],
        String(call),
      )
    }
    await t.rejects(authors(on).add({ name: 'a', nme: 1 } as never), {
      message:
        "Author has no field 'nme' to write to; there are: id, name, email, age, status, born, home, work, notes",
    })
  })

  t.test('update changes what is given, and only that', t =>
    within(async em => {
      const { id } = await authors(em).add({ name: 'Ada', age: 36 })
      em.clear()
      const ada = await authors(em).update(id, { name: 'Ada L.' })
      t.match(ada, { name: 'Ada L.', age: 36 })
      em.clear()
      t.match(await authors(em).get(id), { name: 'Ada L.', age: 36 })
      await t.rejects(authors(em).update(-1, { name: 'x' }), {
        code: 'SQLA_ERR_NOT_FOUND',
        statusCode: 404,
        message: 'There is no Author with this id',
      })
    }),
  )

  t.test('updateMany changes each row in its own way; when one is not there, none', t =>
    within(async em => {
      const [a, b] = (await authors(em).addMany([{ name: 'a' }, { name: 'b' }])) as [Author, Author]
      em.clear()
      const updated = await authors(em).updateMany([
        { id: b.id, name: 'B' },
        { id: String(a.id) as never, age: 7 },
      ])
      t.match(updated, [{ name: 'B' }, { name: 'a', age: 7 }])
      await t.rejects(
        authors(em).updateMany([
          { id: a.id, name: 'x' },
          { id: -1, name: 'x' },
        ]),
        {
          code: 'SQLA_ERR_NOT_FOUND',
        },
      )
      await t.rejects(authors(em).updateMany([{ name: 'x' }]), { code: 'SQLA_ERR_INVALID_FILTER' })
      em.clear()
      t.strictSame(
        (await authors(em).list(orderBy('id'))).map(({ name }) => name),
        ['a', 'B'],
      )
      t.strictSame(await authors(em).updateMany([]), [])
    }),
  )

  t.test('upsert inserts, and then updates what is given', t =>
    within(async em => {
      const red = await tags(em).upsert({ name: 'work', color: 'red' }, { matchFields: ['name'] })
      t.match(red, { name: 'work', color: 'red', hits: 0 })
      await tags(em).update(red.id, { hits: 5 })
      em.clear()
      const blue = await tags(em).upsert({ name: 'work', color: 'blue' }, { matchFields: ['name'] })
      t.equal(blue.id, red.id)
      em.clear()
      t.match(await tags(em).get(red.id), { color: 'blue' })
      t.equal(await tags(em).count(), 1)
      const same = await tags(em).upsert({ id: red.id, name: 'play' })
      em.clear()
      t.match(await tags(em).get(same.id), { name: 'play', color: 'blue' })
    }),
  )

  t.test('upsert of a row that the session has loaded changes that entity', t =>
    within(async em => {
      const work = await tags(em).add({ name: 'work' })
      t.equal(await tags(em).upsert({ name: 'work', color: 'red' }, { matchFields: ['name'] }), work)
      t.equal(work.color, 'red')
      t.equal(await tags(em).upsert({ id: work.id, name: 'play' }), work)
      t.equal(work.name, 'play')
      t.strictSame(await sqlOf(() => em.flush()), [])
      em.clear()
      t.match(await tags(em).get(work.id), { name: 'play', color: 'red' })
    }),
  )

  t.test('upsertMany returns its rows in the order of the data, whatever was there', t =>
    within(async em => {
      await tags(em).addMany([{ name: 'c' }, { name: 'a' }])
      const saved = await tags(em).upsertMany(
        ['a', 'b', 'c', 'd'].map(name => ({ name, color: `${name}!` })),
        { matchFields: ['name'] },
      )
      t.strictSame(
        saved.map(({ name, color }) => name + color),
        ['aa!', 'bb!', 'cc!', 'dd!'],
      )
      em.clear()
      t.strictSame(
        (await tags(em).list(orderBy('name'))).map(({ id }) => id),
        saved.map(({ id }) => id),
      )
      await t.rejects(tags(em).upsertMany([{ name: 'a' }, { name: 'a' }], { matchFields: ['name'] }), {
        code: 'SQLA_ERR_INVALID_FILTER',
        statusCode: 400,
      })
      await t.rejects(tags(em).upsertMany([{ name: 'a' }]), { code: 'SQLA_ERR_INVALID_FILTER' })
    }),
  )

  t.test('getOrUpsert finds, updates or creates', t =>
    within(async em => {
      const by = { matchFields: ['name'] as const }
      const [work, created] = await tags(em).getOrUpsert({ name: 'work', color: 'red' }, by)
      t.equal(created, true)
      t.strictSame(await tags(em).getOrUpsert({ name: 'work', color: 'blue' }, by), [work, false])
      t.equal(work.color, 'blue')
      await tags(em).getOrUpsert({ name: 'work', color: 'green' }, { ...by, update: false })
      t.strictSame(await sqlOf(() => em.flush()), [])
      work.hits = 3
      t.equal((await sqlOf(() => em.flush())).length, 1, 'it is managed by the session')
      em.clear()
      t.match(await tags(em).list(), [{ name: 'work', color: 'blue', hits: 3 }])
      await t.rejects(tags(em).getOrUpsert({ name: 'work' }), { code: 'SQLA_ERR_INVALID_FILTER' })
    }),
  )

  t.test('getAndUpdate says whether anything was different', t =>
    within(async em => {
      const by = { matchFields: ['name'] as const }
      await tags(em).add({ name: 'work', color: 'red' })
      em.clear()
      t.match(await tags(em).getAndUpdate({ name: 'work', color: 'blue' }, by), [{ color: 'blue' }, true])
      t.match(await tags(em).getAndUpdate({ name: 'work', color: 'blue' }, by), [{ color: 'blue' }, false])
      await t.rejects(tags(em).getAndUpdate({ name: 'play' }, by), {
        code: 'SQLA_ERR_NOT_FOUND',
        message: 'There is no Tag with this name',
      })
    }),
  )

  t.test('delete, deleteMany', t =>
    within(async em => {
      const added = await tags(em).addMany(['a', 'b', 'c', 'd'].map(name => ({ name })))
      const [a, b, c] = added as [Tag, Tag, Tag]
      t.equal(await tags(em).delete(a.id), a)
      await t.rejects(tags(em).delete(a.id), { code: 'SQLA_ERR_NOT_FOUND' })
      t.equal(await tags(em).deleteMany([b.id, -1, c.id]), 2)
      t.equal(await em.findOne(Tag, b.id), null, 'it is not in the identity map')
      t.strictSame(await sqlOf(() => em.flush()), [])
      t.match(await tags(em).list(), [{ name: 'd' }])
      t.equal(await tags(em).deleteMany([]), 0)
    }),
  )

  t.test('keys of several values', t =>
    within(async em => {
      const seats = new Repository(Seat, em)
      await seats.addMany([
        { row: 1, place: 'a', price: 5 },
        { row: 1, place: 'b', price: 6 },
        { row: 2, place: 'a', price: 7 },
      ])
      em.clear()
      t.match(await seats.get([1, 'b']), { price: 6 })
      t.match(await seats.update([2, 'a'], { price: 8 }), { row: 2, place: 'a', price: 8 })
      t.match(await seats.updateMany([{ row: 1, place: 'a', price: 1 }]), [{ price: 1 }])
      t.match(await seats.upsert({ row: 1, place: 'a', price: 2 }), { price: 2 })
      t.match(await seats.getOrUpsert({ row: 9, place: 'z', price: 2 }), [{ price: 2 }, true])
      t.match(await seats.list(orderBy('price', 'desc'), limitOffset(1)), [{ price: 8 }])
      await t.rejects(seats.get([1] as never), { code: 'SQLA_ERR_INVALID_FILTER' })
      await t.rejects(seats.get([3, 'a']), { message: 'There is no Seat with this row and place' })
      t.equal(
        await seats.deleteMany([
          [1, 'a'],
          [1, 'b'],
          [7, 'x'],
        ]),
        2,
      )
      t.equal(await seats.count(), 2)
    }),
  )

  t.test('keys that are relations, also to a key of several values', t =>
    within(async em => {
      const ada = await authors(em).add({ name: 'Ada' })
      const seat = await new Repository(Seat, em).add({ row: 1, place: 'a', price: 5 })
      const tickets = new Repository(Ticket, em)
      await tickets.add({ author: ada, seat })
      const bob = await authors(em).add({ name: 'Bob' })
      await tickets.addMany([{ author: bob.id, seat: [1, 'a'] as never }])
      em.clear()
      const key = (author: number) => [author, [1, 'a']] as never
      t.equal((await tickets.get(key(ada.id))).paid, false)
      t.equal((await tickets.update(key(ada.id), { paid: true })).paid, true)
      const [updated] = await tickets.updateMany([{ author: bob.id, seat: [1, 'a'], paid: true } as never])
      t.equal(updated?.paid, true)
      t.equal(await tickets.count(comparison('paid', 'eq', true)), 2)
      t.equal(await tickets.deleteMany([key(ada.id), key(bob.id)]), 2)
      t.equal(await tickets.count(), 0)
    }),
  )
})
