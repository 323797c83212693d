import { errors as core } from '../../src/index.ts'
import type { Authorize } from '../web/authorize.ts'
import { errors } from './errors.ts'

/** Options of the toolbar. */
export interface ToolbarOptions {
  /** Where its pages are. Default `/_sqlassist`. */
  readonly prefix?: string
  /** How many requests are kept, and how many scopes of `run`: 1 to 10,000. Default 100. */
  readonly limit?: number
  /** How many statements of each are kept: 0 to 10,000. Default 500. */
  readonly statements?: number
  /** Whether values are kept and shown: parameters, texts with values, messages of errors. Default false. */
  readonly parameters?: boolean
  /** Whether HTML pages of the application get a link to what is recorded of them. Default true, in production false. */
  readonly button?: boolean
  /** Whether a statement may be explained by its server. Default true. */
  readonly explain?: boolean
  /**
   * Who may see it; `'none'`: everybody who reaches it. Default: who asks from this machine, under a name of this machine. In
   * production it must be a function.
   */
  readonly authorize?: Authorize | 'none'
  /** Whether it may be used where `NODE_ENV` is `production`. Default false. */
  readonly force?: boolean
}

/** The options with their defaults. */
export interface ResolvedToolbarOptions {
  readonly prefix: string
  readonly limit: number
  readonly statements: number
  readonly parameters: boolean
  readonly button: boolean
  readonly explain: boolean
  /** Undefined: only this machine. */
  readonly authorize: Authorize | 'none' | undefined
}

/**
 * @param isProduction whether real users are served here
 * @throws SQLA_ERR_TOOLBAR_PRODUCTION, SQLA_ERR_TOOLBAR_AUTHORIZE, SQLA_ERR_INVALID_OPTION
 */
export function resolveToolbarOptions(
  options: ToolbarOptions,
  isProduction: boolean,
): ResolvedToolbarOptions {
  const { authorize } = options
  const force = flag(options, 'force', false)
  if (isProduction && !force) throw new errors.SQLA_ERR_TOOLBAR_PRODUCTION()
  if (isProduction && typeof authorize !== 'function') throw new errors.SQLA_ERR_TOOLBAR_AUTHORIZE()
  if (authorize !== undefined && authorize !== 'none' && typeof authorize !== 'function') {
    throw new core.SQLA_ERR_INVALID_OPTION('authorize', "must be a function or 'none'")
  }
  return {
    prefix: prefixOf(options),
    limit: count(options, 'limit', 1, 100),
    statements: count(options, 'statements', 0, 500),
    parameters: flag(options, 'parameters', false),
    button: flag(options, 'button', !isProduction),
    explain: flag(options, 'explain', true),
    authorize,
  }
}

function flag(
  options: ToolbarOptions,
  name: 'parameters' | 'button' | 'explain' | 'force',
  otherwise: boolean,
) {
  const { [name]: value = otherwise } = options
  if (typeof value !== 'boolean') throw new core.SQLA_ERR_INVALID_OPTION(name, 'must be true or false')
  return value
}

function count(
  options: ToolbarOptions,
  name: 'limit' | 'statements',
  least: number,
  otherwise: number,
): number {
  const { [name]: value = otherwise } = options
  if (!Number.isInteger(value) || value < least || value > 10_000) {
    throw new core.SQLA_ERR_INVALID_OPTION(name, `must be a whole number from ${least} to 10,000`)
  }
  return value
}

function prefixOf({ prefix = '/_sqlassist' }: ToolbarOptions): string {
  if (typeof prefix !== 'string' || !/^(?:\/[\w.~-]+)+\/?$/.test(prefix)) {
    throw new core.SQLA_ERR_INVALID_OPTION('prefix', 'must be a path such as /_sqlassist, without parameters')
  }
  return prefix.replace(/\/$/, '')
}
