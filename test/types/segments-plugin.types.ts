// What compiles, and what does not, of the plugin `segments`. `npm run typecheck` is the test: an unused @ts-expect-error
// is an error.
import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import { type FlagsOptions, flags, MemoryFlagStorage } from '../../plugins/flags/index.ts'
import {
  type AppSegments,
  type Identity,
  type RequestSegments,
  type SegmentContext,
  segments,
} from '../../plugins/segments/index.ts'

const app = Fastify()
const environment = { key: 'production', name: 'Production' }
const pro = {
  key: 'pro',
  name: 'Who pays',
  rules: [{ type: 'ALL', conditions: [{ property: 'plan', operator: 'EQUAL', value: 'pro' }] }],
} as const satisfies SegmentContext

app.register(segments, {
  environment,
  segments: [pro],
  identity: request => ({ identifier: request.id, traits: { plan: 'pro', age: 47n } }),
})
// @ts-expect-error: there is no environment
app.register(segments, {})
// @ts-expect-error: a typo
app.register(segments, { environment, createTable: true })
// @ts-expect-error: an identity has an identifier
app.register(segments, { environment, identity: () => ({ traits: {} }) })
// @ts-expect-error: there is no such table
app.register(segments, { environment, tables: { identity: 'people' } })

expectTypeOf(app.segments).toEqualTypeOf<AppSegments>()
expectTypeOf(app.segments.isInSegment).toExtend<NonNullable<FlagsOptions['isInSegment']>>()
app.register(flags, { storage: new MemoryFlagStorage(), isInSegment: app.segments.isInSegment })

app.get('/', async request => {
  expectTypeOf(request.segments).toEqualTypeOf<RequestSegments>()
  expectTypeOf(request.segments.identity).toEqualTypeOf<Identity | undefined>()
  expectTypeOf(request.segments.isIn('pro')).toBeBoolean()
  expectTypeOf(await request.segments.count(pro)).toBeNumber()
  const [counted] = await request.segments.countMany(['pro', pro])
  expectTypeOf(counted?.count).toEqualTypeOf<number | undefined>()
  const { identities, next } = await request.segments.members('pro', { limit: 10 })
  expectTypeOf(identities[0]?.identifier).toEqualTypeOf<string | undefined>()
  await request.segments.members('pro', { after: next ?? undefined })
  // @ts-expect-error: a page begins after an id, not at a number
  await request.segments.members('pro', { offset: 10 })
  // @ts-expect-error: traits belong into `traits`
  await request.segments.upsertIdentity({ identifier: 'ada', plan: 'pro' })
  // @ts-expect-error: tables are made by the application
  await request.segments.createTables()
})
