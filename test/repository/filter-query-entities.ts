import { defineEntity, p } from '@mikro-orm/core'

// An entity with a column of every type that a query string can have values of.

const TeamSchema = defineEntity({
  name: 'Team',
  properties: { id: p.integer().primary(), title: p.string() },
})
export class Team extends TeamSchema.class {}
TeamSchema.setClass(Team)

const AuthorSchema = defineEntity({
  name: 'Author',
  properties: {
    id: p.integer().primary(),
    name: p.string().length(80),
    bio: p.text().nullable(),
    status: p.enum(['open', 'waiting', 'closed']).default('open'),
    size: p.enum(() => Size).nullable(),
    level: p.smallint().default(0),
    visits: p.bigint().nullable(),
    counted: p.bigint('number').nullable(),
    score: p.double().nullable(),
    price: p.decimal().precision(12).scale(2).nullable(),
    key: p.uuid().nullable(),
    born: p.date().nullable(),
    wakes: p.time().nullable(),
    active: p.boolean().default(true),
    createdAt: p.datetime(3),
    changed: p.datetime(3).nullable(),
    data: p.json<{ a: number }>().nullable(),
    tags: p.array().nullable(),
    secret: p.string().hidden().nullable(),
    team: () => p.manyToOne(Team).nullable(),
    friends: () => p.manyToMany(Author),
  },
})
export class Author extends AuthorSchema.class {}
AuthorSchema.setClass(Author)

const Size = { S: 1, M: 2, L: 3 } as const
