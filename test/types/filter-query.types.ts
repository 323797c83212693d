// What filterQuery takes and gives. `npm run typecheck` is the test.
import { defineEntity, p } from '@mikro-orm/core'
import { expectTypeOf } from 'expect-type'
import type { FastifyInstance } from 'fastify'
import {
  type FieldsOf,
  type Filter,
  filterQuery,
  orderBy,
  type QueryOf,
  Repository,
} from '../../plugins/repository/index.ts'
import type { SqlEm } from '../../src/index.ts'

declare const em: SqlEm
declare const app: FastifyInstance

const TeamSchema = defineEntity({
  name: 'Team',
  properties: { id: p.integer().primary(), title: p.string(), founded: p.date() },
})
class Team extends TeamSchema.class {}
TeamSchema.setClass(Team)
const AuthorSchema = defineEntity({
  name: 'Author',
  properties: {
    id: p.bigint().primary(),
    name: p.string(),
    bio: p.text().nullable(),
    status: p.enum(['open', 'closed']).default('open'),
    level: p.integer(),
    active: p.boolean().default(true),
    createdAt: p.datetime().onCreate(() => new Date()),
    changed: p.datetime(),
    data: p.json<{ a: number }>(),
    team: () => p.manyToOne(Team),
    friends: () => p.manyToMany(Author),
  },
})
class Author extends AuthorSchema.class {}
AuthorSchema.setClass(Author)

const rich = filterQuery(Author, {
  ids: true,
  createdAt: true,
  updatedAt: 'changed',
  pagination: true,
  search: { fields: ['name', 'bio', 'team.title'], ignoreCase: true },
  orderBy: ['name', 'team.title', 'createdAt'],
  in: ['status', 'level', 'team', 'team.title'],
  notIn: ['status'],
  booleans: ['active'],
  choices: { level: [1, 2], 'team.title': ['a', 'b'] },
  maxItems: 10,
})

expectTypeOf(rich.parse({})).toEqualTypeOf<Filter<FieldsOf<Author>>[]>()
expectTypeOf(
  new Repository(Author, em).listAndCount(...rich.parse({}), orderBy('id')),
).resolves.items.toExtend<number | Author[]>()
// @ts-expect-error: filters of another entity
new Repository(Team, em).list(...rich.parse({}))

type Query = QueryOf<typeof rich>
expectTypeOf<Query['ids']>().toEqualTypeOf<string[] | undefined>()
expectTypeOf<Query['createdBefore']>().toEqualTypeOf<string | undefined>()
expectTypeOf<Query['updatedAfter']>().toEqualTypeOf<string | undefined>()
expectTypeOf<Query['pageSize']>().toEqualTypeOf<number>()
expectTypeOf<Query['searchString']>().toEqualTypeOf<string | undefined>()
expectTypeOf<Query['searchIgnoreCase']>().toEqualTypeOf<boolean>()
expectTypeOf<Query['orderBy']>().toEqualTypeOf<'name' | 'team.title' | 'createdAt'>()
expectTypeOf<Query['sortOrder']>().toEqualTypeOf<'asc' | 'desc'>()
expectTypeOf<NonNullable<Query['statusIn']>[number]>().toExtend<'open' | 'closed'>()
expectTypeOf<NonNullable<Query['levelIn']>[number]>().toExtend<number>()
expectTypeOf<Query['teamIn']>().toEqualTypeOf<number[] | undefined>()
expectTypeOf<NonNullable<Query['teamTitleIn']>[number]>().toExtend<string>()
expectTypeOf<Query['active']>().toEqualTypeOf<boolean | undefined>()
expectTypeOf<Query['level']>().toEqualTypeOf<(1 | 2)[] | undefined>()
expectTypeOf<Query['teamTitle']>().toEqualTypeOf<('a' | 'b')[] | undefined>()
// @ts-expect-error: not asked for
expectTypeOf<Query['levelNotIn']>().toBeNever()

app.get<{ Querystring: Query }>('/', { schema: { querystring: rich.querystring } }, request => {
  expectTypeOf(request.query.currentPage).toEqualTypeOf<number>()
  return rich.parse(request.query)
})

filterQuery(Team, { createdAt: 'founded', orderBy: { fields: ['id', 'title'], default: 'title' } })
filterQuery(AuthorSchema, { choices: { status: true } })

// @ts-expect-error: no such field
filterQuery(Author, { in: ['stauts'] })
// @ts-expect-error: no such field
filterQuery(Author, { orderBy: ['nmae'] })
// @ts-expect-error: no such field behind the relation
filterQuery(Author, { search: ['team.name'] })
// @ts-expect-error: a number is not searched for text
filterQuery(Author, { search: ['level'] })
// @ts-expect-error: not a boolean
filterQuery(Author, { booleans: ['status'] })
// @ts-expect-error: Team has no createdAt
filterQuery(Team, { createdAt: true })
// @ts-expect-error: not a date
filterQuery(Author, { updatedAt: 'level' })
// @ts-expect-error: not one of the values of status
filterQuery(Author, { choices: { status: ['opne'] } })
// @ts-expect-error: a query string has no values of JSON
filterQuery(Author, { in: ['data'] })
// @ts-expect-error: a typo in an option
filterQuery(Author, { serach: ['name'] })
// @ts-expect-error: the default must be one of the fields of the entity
filterQuery(Author, { orderBy: { fields: ['name'], default: 'x' } })
// @ts-expect-error: not a number
filterQuery(Author, { pagination: { pageSize: '20' } })
