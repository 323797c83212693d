// Names of flags in an application that has declared them, on the built package, as users have it.
import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import type { FlagName } from 'fastify-sqlassist/flags'

declare module 'fastify-sqlassist/flags' {
  interface SqlAssistFlags {
    'new-checkout': boolean
    colour: string
  }
}

const app = Fastify()

expectTypeOf<FlagName>().toEqualTypeOf<'new-checkout' | 'colour'>()
app.get('/', async request => {
  expectTypeOf(request.flags.isEnabled('new-checkout')).toBeBoolean()
  expectTypeOf(request.flags.value('colour', 'red')).toBeString()
  // @ts-expect-error: not declared
  request.flags.isEnabled('new-chekout')
  // @ts-expect-error: not declared
  app.flags.context().value('size', 1)
})
