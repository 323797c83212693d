// What compiles, and what does not, of flags in an application that has not declared their names. `npm run
// typecheck` is the test: an unused @ts-expect-error is an error.
import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import {
  type FlagClient,
  type FlagContext,
  type FlagDetails,
  type FlagName,
  flags,
  MemoryFlagStorage,
} from '../../plugins/flags/index.ts'

const app = Fastify()
const storage = new MemoryFlagStorage()

app.register(flags, {
  storage,
  ttl: 1_000,
  entries: request => ({ user_id: request.id, age: 7, staff: true }),
})
// @ts-expect-error: a typo
app.register(flags, { storage, tll: 1_000 })
// @ts-expect-error: an entry is no object
app.register(flags, { storage, entries: () => ({ user: { id: 1 } }) })

expectTypeOf<FlagName>().toBeString()
expectTypeOf(app.flags).toEqualTypeOf<FlagClient>()
app.get('/', async request => {
  expectTypeOf(request.flags).toEqualTypeOf<FlagContext>()
  expectTypeOf(request.flags.isEnabled('any', { user_id: 42 })).toBeBoolean()
  expectTypeOf(request.flags.value('f', false)).toBeBoolean()
  expectTypeOf(request.flags.value('f', 'red')).toBeString()
  expectTypeOf(request.flags.value('f', 1)).toBeNumber()
  expectTypeOf(request.flags.details('f', 'red')).toEqualTypeOf<FlagDetails<string>>()
})

void storage.upsert({ name: 'f', enabled: true, enabled_for_actors: { actor_key: 'id', actor_ids: ['1'] } })
// @ts-expect-error: a typo
void storage.upsert({ name: 'f', enbled: true })
// @ts-expect-error: the storage gives the version
void storage.upsert({ name: 'f', version: 1 })
// @ts-expect-error: a name is needed
void storage.upsert({ enabled: true })
