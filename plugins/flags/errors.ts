import { defineErrors, type ErrorClasses, type ErrorRow } from '../../src/index.ts'

/** The error table of `fastify-sqlassist/flags`. `docs/errors.md` says for each code how to solve it. */
export const errorTable = {
  SQLA_ERR_FLAG_INVALID: { message: "Flag '%s' is not valid: %s", statusCode: 400 },
  SQLA_ERR_FLAG_UNKNOWN: { message: "There is no flag named '%s'; in strict mode that is an error" },
  SQLA_ERR_FLAG_CONFLICT: {
    message: "Flag '%s' has version %s, not %s: somebody else has changed it",
    statusCode: 409,
  },
  SQLA_ERR_FLAG_NOT_FOUND: { message: "There is no flag named '%s'", statusCode: 404 },
  SQLA_ERR_FLAG_VERSION: { message: "The history of flag '%s' has no version %s", statusCode: 404 },
  SQLA_ERR_FLAG_EXISTS: { message: "There is a flag named '%s' already", statusCode: 409 },
  SQLA_ERR_FLAG_REQUEST: { message: 'The request is not valid: %s', statusCode: 400 },
  SQLA_ERR_FLAG_AUTHORIZE: {
    message: "%s needs the option authorize, which says who may; or authorize: 'none', when everybody may",
    base: TypeError,
  },
  SQLA_ERR_FLAG_FORBIDDEN: { message: 'You may not use the flags here', statusCode: 403 },
  SQLA_ERR_FLAG_FORM: {
    message: 'This form did not come from these pages, or it is too old: open it again',
    statusCode: 403,
  },
  SQLA_ERR_FLAG_UNAVAILABLE: { message: 'The flags cannot be reached now: %s', statusCode: 503 },
  SQLA_ERR_FLAG_PLUGIN: { message: '%s needs the plugin flags, which must be registered before it' },
  SQLA_ERR_FLAG_UNREAD: { message: 'The flags could not be read yet; the client goes on trying' },
  SQLA_ERR_FLAG_STORAGE: { message: 'Flags cannot be stored there: %s' },
} as const satisfies Record<string, ErrorRow>

/** The error classes of `fastify-sqlassist/flags`, by code. */
export const errors: ErrorClasses<typeof errorTable> = defineErrors(errorTable)
