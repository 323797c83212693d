import { defineErrors, type ErrorClasses, type ErrorRow } from '../../src/index.ts'

/** The error table of `fastify-sqlassist/toolbar`. `docs/errors.md` says for each code how to solve it. */
export const errorTable = {
  SQLA_ERR_TOOLBAR_PRODUCTION: {
    message:
      'The toolbar is a tool of development, and NODE_ENV is production: leave it out there, or give it `force: true` and `authorize`',
  },
  SQLA_ERR_TOOLBAR_AUTHORIZE: {
    message: 'In production the toolbar needs `authorize`, a function that says who may see it',
  },
  SQLA_ERR_TOOLBAR_PLUGIN: {
    message: 'The toolbar needs fastify-sqlassist, which must be registered before it',
  },
  SQLA_ERR_TOOLBAR_REGISTERED: { message: 'The toolbar is registered already on this instance' },
  SQLA_ERR_TOOLBAR_FORBIDDEN: { message: 'You may not see the toolbar: %s', statusCode: 403 },
  SQLA_ERR_TOOLBAR_FORM: {
    message: 'This form did not come from these pages, or it is too old: open it again',
    statusCode: 403,
  },
} as const satisfies Record<string, ErrorRow>

/** The error classes of `fastify-sqlassist/toolbar`, by code. */
export const errors: ErrorClasses<typeof errorTable> = defineErrors(errorTable)
