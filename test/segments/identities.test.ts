import { randomBytes } from 'node:crypto'
import t from 'tap'
import { parseTraits, stringifyTraits } from '../../plugins/segments/traits-json.ts'
import { appOn, newPlace, onPostgres, where } from './segments-app.ts'

// Who there is: saving, merging, refusing, deleting.

const ODD = ["'; drop table x; --", '?', '$1', 'a\\b', '%', '"', '😀', '__proto__', '{', '']

await onPostgres(t, async (t, backend) => {
  t.test('an identity is saved, found, and replaced by what is saved next', async t => {
    const { segments } = (await appOn(t, backend)).app
    const id = await segments.upsertIdentity({
      identifier: 'ada',
      traits: { age: 47, plan: 'pro', gone: null },
    })
    t.same(await segments.findIdentity('ada'), {
      id,
      identifier: 'ada',
      key: 'env_ada',
      traits: { age: 47, plan: 'pro' },
    })
    t.equal(await segments.upsertIdentity({ identifier: 'ada', traits: { age: 48 } }), id)
    t.same((await segments.findIdentity('ada'))?.traits, { age: 48 })
    t.equal(await segments.findIdentity('bob'), undefined)
    t.equal(await segments.findIdentity('a\0b'), undefined)
  })

  t.test('merging keeps what is not given, and deletes what is null', async t => {
    const { segments } = (await appOn(t, backend)).app
    const merge = { merge: true }
    await segments.upsertIdentity({ identifier: 'new', traits: { a: 1, b: null } }, merge)
    await segments.upsertIdentity({ identifier: 'old', traits: { a: 1, b: 2, o: { x: null } } })
    await segments.upsertIdentities(
      [
        { identifier: 'old', traits: { b: null, c: 3, o: { y: null } } },
        { identifier: 'new', traits: { b: 2 } },
      ],
      merge,
    )
    t.same((await segments.findIdentity('new'))?.traits, { a: 1, b: 2 })
    t.same((await segments.findIdentity('old'))?.traits, { a: 1, c: 3, o: { y: null } }, 'nulls inside stay')
    await segments.upsertIdentity({ identifier: 'old' }, merge)
    t.same((await segments.findIdentity('old'))?.traits, { a: 1, c: 3, o: { y: null } })
  })

  t.test('numbers stay what they are', async t => {
    const { segments } = (await appOn(t, backend)).app
    const json = '{"a":1.0,"b":12345678901234567890,"c":1,"d":0.1,"e":-0.0}'
    for (const merge of [false, true]) {
      await segments.upsertIdentity({ identifier: 'n', traits: parseTraits(json) }, { merge })
      const stored = stringifyTraits((await segments.findIdentity('n'))?.traits ?? {})
      t.match(stored, /"a":1\.0/)
      t.match(stored, /"b":12345678901234567890/)
      t.match(stored, /"c":1,/)
    }
    t.equal(await segments.count(where('a', 'EQUAL', '1.0')), 1)
    await segments.upsertIdentity({ identifier: 'n', traits: { b: 12345678901234567890n } })
    t.equal(await segments.count(where('b', 'EQUAL', '12345678901234567890')), 1)
    t.equal(await segments.count(where('b', 'EQUAL', '12345678901234567891')), 0)
  })

  t.test('a key is kept until another one is given', async t => {
    const { segments } = (await appOn(t, backend)).app
    const keyOf = async (identifier: string) => (await segments.findIdentity(identifier))?.key
    await segments.upsertIdentity({ identifier: 'a', key: 'mine' })
    await segments.upsertIdentity({ identifier: 'a', traits: { x: 1 } })
    t.equal(await keyOf('a'), 'mine')
    await segments.upsertIdentities([
      { identifier: 'a', traits: { x: 2 } },
      { identifier: 'b', key: 'his' },
      { identifier: 'c' },
    ])
    t.same([await keyOf('a'), await keyOf('b'), await keyOf('c')], ['mine', 'his', 'env_c'])
    await segments.upsertIdentities([{ identifier: 'a', key: 'env_a' }, { identifier: 'b' }])
    t.same([await keyOf('a'), await keyOf('b')], ['env_a', 'his'])
  })

  t.test('many at once: ids in their order, and of one that is given twice the later one wins', async t => {
    const { app, sql } = await appOn(t, backend)
    const many = Array.from({ length: 2_500 }, (_, n) => ({
      identifier: `u${(n * 7) % 2_500}`,
      traits: { n },
    }))
    const ids = await app.segments.upsertIdentities([...many, { identifier: 'u7', traits: { n: -1 } }])
    t.equal(ids.length, 2_501)
    t.equal(ids[1], ids[2_500])
    t.same((await app.segments.findIdentity('u7'))?.traits, { n: -1 })
    t.equal((await app.segments.findIdentity('u14'))?.id, ids[2])
    t.same(await app.segments.upsertIdentities([]), [])
    await t.rejects(app.segments.upsertIdentities([{ identifier: 'z' }, { identifier: 'a\0' }]))
    t.equal(await app.segments.findIdentity('z'), undefined, 'all or none')
    await t.resolves(sql('select 1'))
  })

  t.test('one that is given twice in a row is saved twice', async t => {
    const { segments } = (await appOn(t, backend)).app
    const twice = [
      { identifier: 'a', traits: { x: 1 } },
      { identifier: 'a', traits: { y: 2 } },
    ]
    const [first, second] = await segments.upsertIdentities(twice)
    t.equal(first, second)
    t.same((await segments.findIdentity('a'))?.traits, { y: 2 })
    await segments.upsertIdentities(twice, { merge: true })
    t.same((await segments.findIdentity('a'))?.traits, { x: 1, y: 2 })
  })

  t.test('whoever saves the same many in another order does not wait in a circle', async t => {
    const { segments } = (await appOn(t, backend)).app
    const many = Array.from({ length: 300 }, (_, n) => ({ identifier: `u${n}`, traits: { n } }))
    await segments.upsertIdentities(many)
    const rounds = Array.from({ length: 24 }, (_, n) => (n % 2 === 0 ? many : many.toReversed()))
    await t.resolves(Promise.all(rounds.map(round => segments.upsertIdentities(round))))
  })

  t.test('names and values are what they are', async t => {
    const { segments } = (await appOn(t, backend)).app
    for (const odd of ODD) {
      const traits = Object.fromEntries([[odd, odd]])
      for (const merge of [true, false])
        await segments.upsertIdentity({ identifier: odd, key: odd || null, traits }, { merge })
      await segments.upsertIdentity(
        {
          identifier: odd,
          traits: Object.fromEntries([
            ['x', null],
            [odd, odd],
          ]),
        },
        { merge: true },
      )
      const found = await segments.findIdentity(odd)
      t.equal(found?.identifier, odd)
      t.same(Object.entries(found?.traits ?? {}), [[odd, odd]], odd)
    }
    t.equal(await segments.count(where('$.identity.identifier', 'IS_SET')), ODD.length)
    await segments.upsertIdentity(
      { identifier: ODD[0] as string, traits: Object.fromEntries(ODD.map(odd => [odd, null])) },
      { merge: true },
    )
    t.same((await segments.findIdentity(ODD[0] as string))?.traits, {})
  })

  t.test('what PostgreSQL does not store is refused, and the trait is named', async t => {
    const { segments } = (await appOn(t, backend)).app
    const circle: Record<string, unknown> = {}
    circle.self = circle
    const bad: [Record<string, unknown>, RegExp][] = [
      [{ ok: 1, name: 'a\0b' }, /trait "name" has a NUL/],
      [{ name: '\ud800' }, /trait "name" has half a surrogate pair/],
      [{ deep: { list: [1, '\0'] } }, /trait "deep": "list": "1" has a NUL/],
      [{ deep: { 'a\0': 1 } }, /trait "deep": the name "a\\u0000" has a NUL/],
      [{ 'a\0': 1 }, /the name of trait "a\\u0000" has a NUL/],
      [{ n: Number.NaN }, /trait "n" is NaN/],
      [{ n: Number.POSITIVE_INFINITY }, /trait "n" is Infinity/],
      [{ n: 10n ** 140_000n }, /trait "n" is a number with more digits/],
      [parseTraits('{"n":1e999999}'), /trait "n" is a number with more digits/],
      [parseTraits('{"n":1e-99999}'), /trait "n" is a number with more digits/],
      [{ f: () => 1 }, /trait "f" is a function/],
      [{ d: new Date() }, /trait "d" is a Date/],
      [{ circle }, /nested more than 64/],
    ]
    for (const [traits, message] of bad) {
      const refused = segments.upsertIdentity({ identifier: 'ada', traits: traits as never })
      await t.rejects(refused, { code: 'SQLA_ERR_IDENTITY_INVALID', statusCode: 400, message })
    }
    const identities: unknown[] = [
      {},
      null,
      { identifier: 1 },
      { identifier: 'a\0' },
      { identifier: '\udc00' },
      { identifier: 'é'.repeat(1_001) },
      { identifier: 'a', key: 1 },
      { identifier: 'a', key: '\0' },
      { identifier: 'a', traits: [] },
      { identifier: 'a', traits: 'x' },
    ]
    for (const identity of identities) {
      await t.rejects(segments.upsertIdentity(identity as never), { code: 'SQLA_ERR_IDENTITY_INVALID' })
    }
    // Random, as PostgreSQL compresses what it can.
    const longest = randomBytes(1_500).toString('base64')
    await segments.upsertIdentity({ identifier: longest })
    t.equal((await segments.findIdentity(longest))?.identifier, longest)
    await t.rejects(segments.deleteIdentity('\0'), { code: 'SQLA_ERR_IDENTITY_INVALID' })
    t.equal(await segments.findIdentity('ada'), undefined)
    const large = {
      n: 10n ** 131_000n,
      list: Array.from({ length: 20 }, (_, n) => n),
      long: 'x'.repeat(100_000),
    }
    await segments.upsertIdentity({ identifier: 'ada', traits: large })
    t.equal((await segments.findIdentity('ada'))?.traits.long, large.long)
  })

  t.test('an environment knows nothing of another one in the same tables', async t => {
    const place = newPlace()
    const { segments: here } = (await appOn(t, backend, { place })).app
    const { segments: there } = (
      await appOn(t, backend, { place, environment: { key: 'other', name: 'Other' } })
    ).app
    const x = where('x', 'IS_SET')
    await here.upsertIdentity({ identifier: 'ada', traits: { x: 1 } })
    await there.upsertIdentities([
      { identifier: 'ada', traits: { x: 2 } },
      { identifier: 'bob', traits: { x: 2 } },
    ])
    t.equal((await there.findIdentity('ada'))?.key, 'other_ada')
    t.same([await here.count(x), await there.count(x)], [1, 2])
    t.match(await here.countMany([x]), [{ count: 1 }])
    t.equal((await here.members(x)).identities.length, 1)
    t.equal((await here.sample(x, 5)).length, 1)
    t.match(await here.estimate(x), { count: 1, sampled: 1, exact: true })
    t.equal(await here.materialise(x), 1)
    t.equal(await here.deleteIdentity('bob'), false)
    t.equal(await there.deleteIdentity('ada'), true)
    t.same([await here.count(x.key), await there.count(x)], [1, 1])
    t.equal(there.get(x.key), undefined)
    await there.saveSegment(where('x', 'IS_NOT_SET', null, x.key))
    t.equal(await here.count(x.key), 1)
    t.equal(await there.deleteSegment(x.key), true)
    t.equal((await here.membersOf(x.key)).identities.length, 1)
  })
})
