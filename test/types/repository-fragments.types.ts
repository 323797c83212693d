// What an entity infers from the fragments. `npm run typecheck` is the test.
import {
  defineEntity,
  type EntityManager,
  type InferEntity,
  p,
  type RequiredEntityData,
} from '@mikro-orm/core'
import { expectTypeOf } from 'expect-type'
import {
  auditColumns,
  bigintPrimary,
  uuidPrimary,
  valuesOnUpdate,
} from '../../plugins/repository/fragments.ts'

declare const em: EntityManager

const NoteSchema = defineEntity({
  name: 'Note',
  properties: { ...uuidPrimary(), text: p.text(), ...auditColumns() },
})
class Note extends NoteSchema.class {}
NoteSchema.setClass(Note)

expectTypeOf<Note['id']>().toExtend<string>()
expectTypeOf<Note['createdAt']>().toExtend<Date>()
expectTypeOf<Note['updatedAt']>().toExtend<Date>()
expectTypeOf<keyof Omit<InferEntity<typeof NoteSchema>, symbol> & string>().toEqualTypeOf<
  'id' | 'text' | 'createdAt' | 'updatedAt'
>()

// What sets itself is not asked for, but may be given.
em.create(Note, { text: 'hello' })
em.create(Note, { text: 'hello', id: 'x', createdAt: new Date() })
expectTypeOf<{ text: string }>().toExtend<RequiredEntityData<Note>>()
// @ts-expect-error: text does not set itself
em.create(Note, {})
// @ts-expect-error: not a date
em.create(Note, { text: 'hello', createdAt: 7 })
// @ts-expect-error: no such property without `by`
em.create(Note, { text: 'hello', createdBy: 'ann' })
em.findOne(Note, { id: 'x', updatedAt: { $gt: new Date() } })
// @ts-expect-error: the key is a string
em.findOne(Note, { id: 7 })

const Visit = defineEntity({
  name: 'Visit',
  properties: { ...bigintPrimary(), ...auditColumns({ by: request => request?.ip }) },
})
type Visit = InferEntity<typeof Visit>
expectTypeOf<Visit['id']>().toExtend<string>()
expectTypeOf<Visit['createdBy']>().toExtend<string | null | undefined>()
em.create(Visit, {})
em.create(Visit, { createdBy: 'ann', updatedBy: null })

const Counted = defineEntity({ name: 'Counted', properties: bigintPrimary({ mode: 'number' }) })
expectTypeOf<InferEntity<typeof Counted>['id']>().toExtend<number>()
const Big = defineEntity({ name: 'Big', properties: bigintPrimary({ mode: 'bigint' }) })
expectTypeOf<InferEntity<typeof Big>['id']>().toExtend<bigint>()
// @ts-expect-error: not a mode
bigintPrimary({ mode: 'object' })
// @ts-expect-error: `by` gives a name
auditColumns({ by: () => 7 })
// @ts-expect-error: a typo
uuidPrimary({ defualt: 'uuidv7()' })

em.nativeUpdate(Note, { text: 'a' }, { text: 'b', ...valuesOnUpdate(em, Note) })
