import type { FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { errors } from './errors.ts'
import { addButton } from './injection.ts'
import { resolveToolbarOptions, type ToolbarOptions } from './options.ts'
import { Recorder } from './recorder.ts'
import { addRecording } from './request-hooks.ts'
import { addWebUi } from './web-ui.ts'

const kToolbar = Symbol('fastify-sqlassist.toolbar')

async function register(app: FastifyInstance, options: ToolbarOptions): Promise<void> {
  const resolved = resolveToolbarOptions(options, process.env.NODE_ENV === 'production')
  if (!app.hasDecorator('sqlAssist')) throw new errors.SQLA_ERR_TOOLBAR_PLUGIN()
  if (app.hasDecorator(kToolbar)) throw new errors.SQLA_ERR_TOOLBAR_REGISTERED()
  const { sqlAssist } = app
  const { prefix, limit, statements, parameters, button, explain, authorize } = resolved
  const base = app.prefix.replace(/\/$/, '') + prefix
  const recorder = new Recorder({ source: sqlAssist, limit, statements, parameters, log: app.log })
  app.addHook('onClose', async () => recorder.close())
  app.decorate(kToolbar, true)
  addRecording(app, recorder, base)
  if (button) addButton(app, recorder, base, authorize === undefined)
  // The hooks are the whole application's, and these routes have a context of their own.
  await app.register(
    async pages => {
      addWebUi(pages, { base, records: recorder, sqlAssist, root: app, parameters, explain, authorize })
    },
    { prefix },
  )
}

/**
 * The Fastify plugin: a debug toolbar. It keeps what the last requests did with their databases, shows it on pages under `prefix`,
 * and puts a link to it into the HTML pages of the application. Register it after `sqlAssist`, before your routes, and in
 * development only.
 *
 * @param options `prefix`, `limit`, `statements`, `parameters`, `button`, `explain`, `authorize`, `force`
 * @throws SQLA_ERR_TOOLBAR_PRODUCTION in production without `force`, SQLA_ERR_TOOLBAR_AUTHORIZE there without `authorize`,
 *   SQLA_ERR_TOOLBAR_PLUGIN without fastify-sqlassist, SQLA_ERR_TOOLBAR_REGISTERED, SQLA_ERR_INVALID_OPTION. Its routes:
 *   SQLA_ERR_TOOLBAR_FORBIDDEN, SQLA_ERR_TOOLBAR_FORM
 *
 * @example
 * ```ts
 * await app.register(sqlAssist, { engines })
 * if (process.env.NODE_ENV !== 'production') await app.register(toolbar, { prefix: '/_sqlassist' })
 * ```
 */
export const toolbar = fastifyPlugin(register, { fastify: '5.x', name: 'fastify-sqlassist-toolbar' })
