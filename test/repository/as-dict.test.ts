import { defineEntity, p } from '@mikro-orm/core'
import t from 'tap'
import { columnsAsDict, loadedColumnsAsDict, loadedColumnsAsList } from '../../plugins/repository/as-dict.ts'
import { onEveryBackend } from '../support/backends.ts'

const Team = defineEntity({ name: 'Team', properties: { id: p.integer().primary(), name: p.string() } })
const Desk = defineEntity({
  name: 'Desk',
  properties: { floor: p.integer().primary(), number: p.integer().primary() },
})
const Address = defineEntity({ name: 'Address', embeddable: true, properties: { city: p.string() } })
const UserSchema = defineEntity({
  name: 'User',
  properties: {
    id: p.integer().primary(),
    name: p.string(),
    password: p.string().hidden(),
    biography: p.text().lazy().nullable(),
    notes: p.text().lazy().ref().nullable(),
    nick: p.string().nullable(),
    shout: p
      .string()
      .formula(columns => `upper(${columns.name})`)
      .nullable(),
    temporary: p.string().persist(false).nullable(),
    home: () => p.embedded(Address).nullable(),
    team: () => p.manyToOne(Team).ref().nullable(),
    desk: () => p.manyToOne(Desk).nullable(),
    boss: () => p.manyToOne(UserSchema).mapToPk().nullable(),
    mentor: () => p.oneToOne(UserSchema).owner().nullable(),
    mentors: () => p.oneToOne(UserSchema).mappedBy('mentor').nullable(),
    reports: () => p.oneToMany(UserSchema).mappedBy('boss'),
    teams: () => p.manyToMany(Team),
  },
})
class User extends UserSchema.class {}
UserSchema.setClass(User)

await onEveryBackend(t, async (t, backend) => {
  const orm = await backend.orm(t, { entities: [Team, Desk, UserSchema] })
  await orm.schema.create()
  const seeding = orm.em.fork()
  seeding.create(Team, { id: 7, name: 'Blue' })
  seeding.create(Desk, { floor: 3, number: 12 })
  seeding.create(User, { id: 1, name: 'Bob', password: 'hash of bob', notes: null })
  await seeding.flush()
  seeding.create(User, {
    id: 2,
    name: 'Ann',
    password: 'hash of ann',
    biography: 'long',
    notes: 'longer',
    home: { city: 'Rome' },
    team: 7,
    desk: [3, 12],
    boss: 1,
    mentor: 1,
  })
  await seeding.flush()
  const ann = () => orm.em.fork().findOneOrFail(User, 2)

  t.test('all columns, relations as their keys, what is not loaded as undefined', async t => {
    const columns = columnsAsDict(await ann())
    t.match(columns.home, { city: 'Rome' })
    t.strictSame(
      { ...columns, home: undefined },
      {
        id: 2,
        name: 'Ann',
        biography: undefined,
        notes: undefined,
        nick: null,
        home: undefined,
        team: 7,
        desk: [3, 12],
        boss: 1,
        mentor: 1,
      },
    )
  })

  t.test('a hidden property is given only when asked for', async t => {
    const user = await ann()
    t.notMatch(
      JSON.stringify([columnsAsDict(user), loadedColumnsAsDict(user), loadedColumnsAsList(user)]),
      /hash|password/,
    )
    t.notMatch(JSON.stringify(loadedColumnsAsList(user, { withValues: true })), /hash|password/)
    t.equal(columnsAsDict(user, { hidden: true }).password, 'hash of ann')
    t.equal(loadedColumnsAsDict(user, { hidden: true }).password, 'hash of ann')
    t.ok(loadedColumnsAsList(user, { hidden: true }).includes('password'))
  })

  t.test('only what is loaded, as an object, as names and as pairs', async t => {
    const one = orm.em.fork()
    const user = await one.findOneOrFail(User, 2, { fields: ['name', 'nick'] as never })
    t.strictSame(loadedColumnsAsDict(user), { id: 2, name: 'Ann', nick: null })
    t.strictSame(loadedColumnsAsList(user), ['id', 'name', 'nick'])
    t.strictSame(loadedColumnsAsList(user, { withValues: true }), [
      ['id', 2],
      ['name', 'Ann'],
      ['nick', null],
    ])
    await one.populate([user as User], ['biography', 'notes'])
    t.match(loadedColumnsAsDict(user), { biography: 'long', notes: 'longer' })
    t.strictSame(loadedColumnsAsList(orm.em.fork().getReference(User, 2)), ['id'], 'a reference has its key')
  })

  t.test('an entity that is new, and a relation that is loaded', async t => {
    const one = orm.em.fork()
    const fresh = one.create(User, {
      name: 'Eve',
      password: 'x',
      notes: null,
      team: one.create(Team, { id: 8, name: 'Red' }),
    })
    t.strictSame(loadedColumnsAsDict(fresh), { name: 'Eve', notes: null, team: 8 })
    const user = await orm.em.fork().findOneOrFail(User, 2, { populate: ['team', 'mentor'] })
    t.match(columnsAsDict(user), { team: 7, mentor: 1 })
  })

  t.test('nothing is queried, and the entity is not changed', async t => {
    const one = orm.em.fork()
    const user = await one.findOneOrFail(User, 2)
    await orm.close()
    columnsAsDict(user, { hidden: true })
    loadedColumnsAsList(user)
    one.getUnitOfWork().computeChangeSets()
    t.strictSame(one.getUnitOfWork().getChangeSets(), [])
  })
})

t.test('what is no entity is refused', async t => {
  t.throws(() => columnsAsDict({ name: 'Ann' }), {
    code: 'SQLA_ERR_INVALID_OPTION',
    message: /entity must be/,
  })
})
