// What compiles of the utilities, and what does not. `npm run typecheck` is the test.
import { defineEntity, p } from '@mikro-orm/core'
import { expectTypeOf } from 'expect-type'
import { columnsAsDict, loadedColumnsAsList } from '../../plugins/repository/as-dict.ts'
import { type TextField, utilities } from '../../plugins/repository/utilities.ts'
import type { SqlEm } from '../../src/index.ts'

declare const em: SqlEm

const UserSchema = defineEntity({
  name: 'User',
  properties: {
    id: p.integer().primary(),
    name: p.string(),
    nick: p.string().nullable(),
    age: p.integer(),
    born: p.datetime(),
    boss: () => p.manyToOne(UserSchema).nullable(),
  },
})
class User extends UserSchema.class {}
UserSchema.setClass(User)

expectTypeOf<TextField<User>>().toEqualTypeOf<'name' | 'nick'>()

expectTypeOf(utilities.getById(em, User, 1)).resolves.toEqualTypeOf<User | null>()
expectTypeOf(utilities.getByIds(em, User, [1, 2])).resolves.toEqualTypeOf<User[]>()
expectTypeOf(utilities.getByColumnLower(em, User, 'name', 'a')).resolves.toEqualTypeOf<User | null>()
expectTypeOf(utilities.getByColumnLower(em, User, 'name', 'a', { allowMany: true })).resolves.toEqualTypeOf<
  User[]
>()
expectTypeOf(utilities.getByColumnSimilar(em, User, 'nick', 'a')).resolves.toEqualTypeOf<User[]>()
expectTypeOf(utilities.getRange(em, User, { orderBy: ['age', 'born'] })).resolves.toEqualTypeOf<User[]>()

// @ts-expect-error: the key is a number
utilities.getById(em, User, 'one')
// @ts-expect-error: no such column
utilities.getByColumnLower(em, User, 'nmae', 'a')
// @ts-expect-error: holds no text
utilities.getByColumnSimilar(em, User, 'age', 'a')
// @ts-expect-error: a relation
utilities.getByColumnExactThenIlike(em, User, 'boss', 'a')
// @ts-expect-error: pages are for lists
utilities.getByColumnLower(em, User, 'name', 'a', { limit: 1 })
// @ts-expect-error: no such column
utilities.getRange(em, User, { orderBy: 'nmae' })
// @ts-expect-error: not a direction
utilities.getRange(em, User, { sortDirection: 'up' })

declare const user: User
expectTypeOf(columnsAsDict(user).name).toEqualTypeOf<unknown>()
expectTypeOf(loadedColumnsAsList(user)).items.toExtend<keyof User>()
expectTypeOf(loadedColumnsAsList(user, { withValues: true })[0]?.[1]).toEqualTypeOf<unknown>()
// @ts-expect-error: no such column
columnsAsDict(user).nmae
