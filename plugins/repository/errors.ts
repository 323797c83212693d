import { defineErrors, type ErrorClasses, type ErrorRow } from '../../src/index.ts'

/** The error table of `fastify-sqlassist/repository`. `docs/errors.md` says for each code how to solve it. */
export const errorTable = {
  // What a client asked for
  SQLA_ERR_UNKNOWN_FIELD: { message: "%s has no field '%s' %s; there are: %s", statusCode: 400 },
  SQLA_ERR_INVALID_FILTER: { message: 'Invalid filter: %s %s', statusCode: 400 },
  SQLA_ERR_INVALID_CURSOR: { message: 'The cursor cannot be used here: %s', statusCode: 400 },

  // What the database holds; constraint-errors.ts has the sentences
  SQLA_ERR_NOT_FOUND: { message: 'There is no %s with this %s', statusCode: 404 },
  SQLA_ERR_SEVERAL_FOUND: { message: 'There are several %s with this %s, where one was asked for' },
  SQLA_ERR_ROW_LOCKED: {
    message: 'Somebody else is changing this %s; try again',
    statusCode: 409,
  },
  SQLA_ERR_UNIQUE_VIOLATION: { message: '%s', statusCode: 409 },
  SQLA_ERR_FOREIGN_KEY_VIOLATION: { message: '%s', statusCode: 409 },
  SQLA_ERR_CHECK_VIOLATION: { message: '%s', statusCode: 422 },
  SQLA_ERR_NOT_NULL_VIOLATION: { message: '%s', statusCode: 422 },
  SQLA_ERR_INVALID_VALUE: { message: '%s', statusCode: 422 },
} as const satisfies Record<string, ErrorRow>

/** The error classes of `fastify-sqlassist/repository`, by code. */
export const errors: ErrorClasses<typeof errorTable> = defineErrors(errorTable)
