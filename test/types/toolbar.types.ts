// What compiles, and what does not, of the toolbar. `npm run typecheck` is the test: an unused @ts-expect-error is an error.
import { expectTypeOf } from 'expect-type'
import Fastify from 'fastify'
import { type Authorize, errors, type ToolbarOptions, toolbar } from '../../plugins/toolbar/index.ts'

const app = Fastify()

app.register(toolbar)
app.register(toolbar, { prefix: '/_sqlassist', limit: 50, statements: 100, parameters: true, explain: false })
app.register(toolbar, { authorize: 'none', button: false })
app.register(toolbar, { force: true, authorize: async request => request.headers['x-user'] === 'ann' })
// @ts-expect-error: a typo
app.register(toolbar, { limits: 50 })
// @ts-expect-error: only 'none' is a word for everybody
app.register(toolbar, { authorize: 'all' })
// @ts-expect-error: no number
app.register(toolbar, { limit: '50' })

expectTypeOf<ToolbarOptions['authorize']>().toEqualTypeOf<Authorize | 'none' | undefined>()
expectTypeOf(new errors.SQLA_ERR_TOOLBAR_FORBIDDEN('why')).toExtend<Error>()
// @ts-expect-error: no such code
void errors.SQLA_ERR_TOOLBAR_OTHER
