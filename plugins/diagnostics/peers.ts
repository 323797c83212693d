import { createRequire } from 'node:module'
import { errors } from './errors.ts'

export type OpenTelemetry = typeof import('@opentelemetry/api')
export type PromClient = typeof import('prom-client')

// Both packages are optional peers. They are loaded at once, without a promise: a comment is made while its statement is sent.
const load = createRequire(import.meta.url)

/**
 * The API of OpenTelemetry; what it is asked goes to the SDK that the process has registered.
 *
 * @param who needs it, for the message
 * @throws SQLA_ERR_DIAGNOSTICS_PACKAGE when it is not installed
 */
export const openTelemetry = (who: string): OpenTelemetry =>
  loaded(who, '@opentelemetry/api') as OpenTelemetry

/**
 * @param who needs it, for the message
 * @throws SQLA_ERR_DIAGNOSTICS_PACKAGE when it is not installed
 */
export const promClient = (who: string): PromClient => loaded(who, 'prom-client') as PromClient

function loaded(who: string, name: string): unknown {
  try {
    return load(name)
  } catch (error) {
    // Installed, but something that it requires is not: that is another matter.
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'MODULE_NOT_FOUND' || !message.includes(`'${name}'`)) throw error
    throw new errors.SQLA_ERR_DIAGNOSTICS_PACKAGE(who, name, name, { cause: error })
  }
}
