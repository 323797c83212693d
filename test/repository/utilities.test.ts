import { defineEntity, p } from '@mikro-orm/core'
import t, { type Test } from 'tap'
import { comparison } from '../../plugins/repository/filters.ts'
import { utilities } from '../../plugins/repository/utilities.ts'
import { onEveryBackend } from '../support/backends.ts'

const UserSchema = defineEntity({
  name: 'User',
  properties: {
    id: p.integer().primary(),
    fullName: p.string(),
    nick: p.string().nullable(),
    age: p.integer(),
    password: p.string().hidden().default(''),
  },
})
class User extends UserSchema.class {}
UserSchema.setClass(User)
const Seat = defineEntity({
  name: 'Seat',
  properties: { row: p.integer().primary(), number: p.integer().primary(), label: p.string() },
})

const NAMES = [
  'Ann',
  'ann',
  'Anna',
  'BOB',
  'Zoë',
  'ZOË',
  'a_b',
  'aXb',
  '100%',
  '100 percent',
  'back\\slash',
  'Joann',
]

await onEveryBackend(t, async (t, backend) => {
  const orm = await backend.orm(t, { entities: [UserSchema, Seat] })
  await orm.schema.create()
  const seeding = orm.em.fork()
  for (const [index, fullName] of NAMES.entries()) {
    seeding.create(User, { id: index + 1, fullName, nick: fullName.slice(0, 1), age: 30 + (index % 3) })
  }
  for (const number of [1, 2]) seeding.create(Seat, { row: 1, number, label: `1-${number}` })
  await seeding.flush()
  const em = () => orm.em.fork()
  const names = (rows: readonly User[]) => rows.map(user => user.fullName)
  const refuses = (t: Test, call: () => Promise<unknown>, code: string, message?: RegExp) =>
    t.rejects(call, { code, statusCode: 400, ...(message && { message }) })

  t.test('getById and getByIds', async t => {
    t.match(await utilities.getById(em(), User, 3), { fullName: 'Anna' })
    t.equal(await utilities.getById(em(), User, 99), null)
    t.match(await utilities.getById(em(), Seat, [1, 2]), { label: '1-2' })
    t.strictSame(names(await utilities.getByIds(em(), User, [4, 1, 99, 4])), ['BOB', 'Ann'])
    t.strictSame(await utilities.getByIds(em(), User, []), [])
    const seats = await utilities.getByIds(em(), Seat, [
      [1, 2],
      [1, 1],
    ])
    t.strictSame(
      seats.map(seat => seat.label),
      ['1-2', '1-1'],
    )
    const many = Array.from({ length: 2_500 }, (_, index) => 2_500 - index)
    t.strictSame(
      names(await utilities.getByIds(em(), User, many)),
      NAMES.toReversed(),
      'more keys than one statement names',
    )
    await refuses(t, () => utilities.getById(em(), User, {} as never), 'SQLA_ERR_INVALID_FILTER')
  })

  t.test('getByColumnLower', async t => {
    t.match(await utilities.getByColumnLower(em(), User, 'fullName', 'aNNA'), { fullName: 'Anna' })
    t.equal(await utilities.getByColumnLower(em(), User, 'fullName', 'nobody'), null)
    t.equal(await utilities.getByColumnLower(em(), User, 'fullName', 'bob '), null, 'a space counts')
    await t.rejects(() => utilities.getByColumnLower(em(), User, 'fullName', 'ANN'), {
      code: 'SQLA_ERR_SEVERAL_FOUND',
    })
    const many = (page = {}) =>
      utilities.getByColumnLower(em(), User, 'fullName', 'zOË', { allowMany: true, ...page })
    t.strictSame(names(await many()), ['Zoë', 'ZOË'])
    t.strictSame(names(await many({ offset: 1, limit: 1 })), ['ZOË'])
    t.strictSame(names(await many({ offset: 1 })), ['ZOË'])
  })

  t.test('getByColumnSimilar takes its seed for what it is', async t => {
    const similar = async (seed: string, options = {}) =>
      names(await utilities.getByColumnSimilar(em(), User, 'fullName', seed, options)).sort()
    t.strictSame(await similar('AN'), ['Ann', 'Anna', 'ann'])
    t.strictSame(await similar('aNn', { prefixOnly: false }), ['Ann', 'Anna', 'Joann', 'ann'])
    t.strictSame(await similar('A_'), ['a_b'])
    t.strictSame(await similar('100%'), ['100%'])
    t.strictSame(await similar('\\', { prefixOnly: false }), ['back\\slash'])
    t.strictSame(await similar('zoe'), [], 'an accent counts')
    const ordered = await utilities.getByColumnSimilar(em(), User, 'nick', 'a', { limit: 2, offset: 1 })
    t.equal(ordered.length, 2)
  })

  t.test('getByColumnExactThenIlike', async t => {
    const get = async (seed: string) =>
      (await utilities.getByColumnExactThenIlike(em(), User, 'fullName', seed))?.fullName
    t.equal(await get('ann'), 'ann')
    t.equal(await get('aNN'), 'Ann', 'of several, the smallest key')
    t.equal(await get('bob'), 'BOB')
    t.equal(await get('A__'), undefined)
    t.equal(await get('an%'), undefined)
  })

  t.test('getRange', async t => {
    const range = async (options?: Parameters<typeof utilities.getRange<User>>[2]) =>
      (await utilities.getRange(em(), User, options)).map(user => user.id)
    t.strictSame(
      await range(),
      NAMES.map((_, index) => index + 1),
    )
    t.strictSame(await range({ offset: 2, limit: 3 }), [3, 4, 5])
    t.strictSame(await range({ offset: 10 }), [11, 12])
    t.strictSame(await range({ limit: 2, sortDirection: 'desc' }), [12, 11])
    t.strictSame(await range({ limit: 0 }), [])
    t.strictSame(await range({ orderBy: ['age', 'id'], limit: 5 }), [1, 4, 7, 10, 2])
    t.strictSame(await range({ orderBy: 'age', sortDirection: 'desc', limit: 5 }), [12, 9, 6, 3, 11])
    const bobAndAnns = [comparison('id', 'le', 4)]
    t.strictSame(
      await range({ filters: bobAndAnns, orderBy: 'fullName', orderCaseSensitive: false }),
      [1, 2, 3, 4],
    )
    t.strictSame(
      await range({
        filters: [...bobAndAnns, { age: 30 }],
        orderBy: 'fullName',
        sortDirection: 'desc',
        orderCaseSensitive: false,
      }),
      [4, 1],
    )
    t.strictSame(
      await range({ orderBy: 'age', orderCaseSensitive: false, limit: 1 }),
      [1],
      'a number has no case',
    )
  })

  t.test('a name that is no field, a value that is none', async t => {
    const wrong = 'fullNam' as 'fullName'
    for (const call of [
      () => utilities.getByColumnLower(em(), User, wrong, 'a'),
      () => utilities.getByColumnSimilar(em(), User, wrong, 'a'),
      () => utilities.getByColumnExactThenIlike(em(), User, wrong, 'a'),
      () => utilities.getRange(em(), User, { orderBy: wrong }),
      () => utilities.getRange(em(), User, { orderBy: ['id', 'id; drop table user' as 'id'] }),
      () => utilities.getRange(em(), User, { filters: [comparison(wrong, 'eq', 'a')] }),
    ]) {
      await refuses(t, call, 'SQLA_ERR_UNKNOWN_FIELD', /there are: id, fullName, nick, age$/)
    }
    for (const call of [
      () => utilities.getByColumnLower(em(), User, 'age' as 'nick', 'a'),
      () => utilities.getByColumnSimilar(em(), User, 'age' as 'nick', 'a'),
      () => utilities.getByColumnSimilar(em(), User, 'nick', 'a'.repeat(5_000)),
      () => utilities.getByColumnSimilar(em(), User, 'nick', 'a\0'),
      () => utilities.getRange(em(), User, { limit: -1 }),
      () => utilities.getRange(em(), User, { offset: 1.5 }),
      () => utilities.getRange(em(), User, { sortDirection: 'asc; drop table user' as 'asc' }),
    ]) {
      await refuses(t, call, 'SQLA_ERR_INVALID_FILTER')
    }
    t.equal((await utilities.getRange(em(), User)).length, NAMES.length, 'and everything is still there')
  })

  if (backend.dialect !== 'postgresql') return
  t.test('an index on lower() serves getByColumnLower', async t => {
    await orm.em.execute('create index ix_user_lower on "user" (lower(full_name))')
    const one = em()
    const lines: string[] = []
    orm.config.getLogger().setDebugMode(['query'])
    const log = orm.config.getLogger()
    const original = log.logQuery
    log.logQuery = context => void lines.push(context.query ?? '')
    await utilities.getByColumnLower(one, User, 'fullName', "an'n%", { allowMany: true })
    log.logQuery = original
    orm.config.getLogger().setDebugMode(false)
    t.match(lines.join(), /where lower\("u0"\."full_name"\) = lower\(/)
    const [{ plan } = { plan: '' }] = (await one.transactional(async em => {
      await em.execute('set local enable_seqscan = off')
      const rows = (await em.execute(
        'explain select * from "user" u0 where lower("u0"."full_name") = lower(?)',
        ['ann'],
      )) as { 'QUERY PLAN': string }[]
      return [{ plan: rows.map(row => row['QUERY PLAN']).join('\n') }]
    })) as { plan: string }[]
    t.match(plan, /ix_user_lower/)
  })
})
