import { defineErrors, type ErrorClasses, type ErrorRow } from '../../src/index.ts'

/** The error table of `fastify-sqlassist/segments`. `docs/errors.md` says for each code how to solve it. */
export const errorTable = {
  SQLA_ERR_SEGMENT_INVALID: { message: "Segment '%s' is not valid: %s %s", statusCode: 400 },
  SQLA_ERR_SEGMENT_UNKNOWN: { message: "There is no segment with the key '%s'", statusCode: 404 },
  SQLA_ERR_SEGMENT_NOT_MATERIALISED: {
    message: "Who is in segment '%s' is not written down: materialise it first",
  },
  SQLA_ERR_IDENTITY_INVALID: { message: "Identity '%s' is not valid: %s", statusCode: 400 },
  SQLA_ERR_SEGMENT_STORAGE: { message: 'Identities cannot be stored there: %s' },
} as const satisfies Record<string, ErrorRow>

/** The error classes of `fastify-sqlassist/segments`, by code. */
export const errors: ErrorClasses<typeof errorTable> = defineErrors(errorTable)
