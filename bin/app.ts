import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { redact } from '../src/index.ts'
import { errors } from './errors.ts'

/** How long an application may take to close, in milliseconds; then the process ends without it. */
const CLOSE_PATIENCE = 10_000

/**
 * Loads an application, runs `work` on it and closes it. Its plugins are loaded, so its engines are open; `onReady`
 * hooks do not run (they may read tables that are missing, or upgrade by themselves) and it never listens.
 *
 * @param spec a file that exports the application or a factory of it, as `default` or `app`; or `file:name`
 * @throws SQLA_ERR_CLI_APP, SQLA_ERR_CLI_START
 */
export async function withApp<T>(spec: string, work: (app: FastifyInstance) => Promise<T>): Promise<T> {
  // Tables that the start creates are tables that a revision cannot create.
  process.env.SQLASSIST_NO_CREATE_ALL = '1'
  const { app } = await loadApp(spec)
  try {
    try {
      await app.after()
    } catch (error) {
      throw startError(spec, error)
    }
    return await work(app)
  } finally {
    await Promise.race([app.close(), sleep(CLOSE_PATIENCE, undefined, { ref: false })])
  }
}

/** In an object: an application is a thenable, and whoever awaits it loads it. */
async function loadApp(spec: string): Promise<{ app: FastifyInstance }> {
  const { file, name } = await findFile(spec)
  let exported: Record<string, unknown>
  try {
    exported = await import(pathToFileURL(file).href)
  } catch (error) {
    throw startError(spec, error)
  }
  const found = name === undefined ? (exported.default ?? exported.app) : exported[name]
  if (found === undefined) {
    throw new errors.SQLA_ERR_CLI_APP(
      spec,
      name === undefined
        ? `the module must export an application, or a function that makes one, as default or app; it exports ${listOf(exported)}`
        : `the module does not export ${name}; it exports ${listOf(exported)}`,
    )
  }
  let app: unknown
  try {
    const made = typeof found === 'function' ? found() : found
    app = isFastify(made) ? made : await made
  } catch (error) {
    throw startError(spec, error)
  }
  if (isFastify(app)) return { app }
  throw new errors.SQLA_ERR_CLI_APP(
    spec,
    `${name ?? (exported.default === undefined ? 'app' : 'the default export')} is neither a Fastify application nor a function that makes one`,
  )
}

function isFastify(value: unknown): value is FastifyInstance {
  return (
    typeof value === 'object' && value !== null && 'addHook' in value && 'after' in value && 'close' in value
  )
}

async function findFile(spec: string): Promise<{ file: string; name: string | undefined }> {
  if (await isFile(spec)) return { file: resolve(spec), name: undefined }
  const [, path, name] = /^(.+\.[cm]?[jt]s):([A-Za-z_$][\w$]*)$/.exec(spec) ?? []
  if (path !== undefined && (await isFile(path))) return { file: resolve(path), name }
  throw new errors.SQLA_ERR_CLI_APP(spec, `there is no file ${resolve(path ?? spec)}`)
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    found => found.isFile(),
    () => false,
  )
}

/** Errors with a code of ours say themselves what is wrong. */
function startError(spec: string, error: unknown): unknown {
  if (String((error as { code?: unknown } | undefined)?.code).startsWith('SQLA_ERR_')) return error
  const message = error instanceof Error ? error.message : String(error)
  return new errors.SQLA_ERR_CLI_START(spec, redact(message), { cause: error })
}

function listOf(exported: object): string {
  return Object.keys(exported).join(', ') || 'nothing'
}
