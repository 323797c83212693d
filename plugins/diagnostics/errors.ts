import { defineErrors, type ErrorClasses, type ErrorRow } from '../../src/index.ts'

/** The error table of `fastify-sqlassist/diagnostics`. `docs/errors.md` says for each code how to solve it. */
export const errorTable = {
  SQLA_ERR_DIAGNOSTICS_PACKAGE: { message: '%s needs %s, which is not installed. Install it: npm i %s' },
  SQLA_ERR_METRIC_EXISTS: {
    message:
      "The register has a metric '%s' already: of another application, perhaps. Give this one a `register` or a `prefix` of its own",
  },
} as const satisfies Record<string, ErrorRow>

/** The error classes of `fastify-sqlassist/diagnostics`, by code. */
export const errors: ErrorClasses<typeof errorTable> = defineErrors(errorTable)
