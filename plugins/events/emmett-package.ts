import { errors } from './errors.ts'

export type Emmett = typeof import('@event-driven-io/emmett')

const NAME = '@event-driven-io/emmett'

/**
 * Emmett, which is an optional peer: it is loaded when it is needed first.
 *
 * @throws SQLA_ERR_EMMETT_PACKAGE when it is not installed
 */
export const emmettPackage = (): Promise<Emmett> => import('@event-driven-io/emmett').catch(missing)

function missing(error: unknown): never {
  // Installed, but something that it imports is not: that is another matter.
  const { code, message } = error as NodeJS.ErrnoException
  if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes(`'${NAME}'`)) throw error
  throw new errors.SQLA_ERR_EMMETT_PACKAGE(NAME, NAME, { cause: error })
}
