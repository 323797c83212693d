import { defineErrors, type ErrorClasses, type ErrorRow } from '../../src/index.ts'

/** The error table of `fastify-sqlassist/testing`. `docs/errors.md` says for each code how to solve it. */
export const errorTable = {
  SQLA_ERR_TEST_APP: { message: 'testDb needs an application with the plugin fastify-sqlassist: %s' },
  SQLA_ERR_TEST_ALREADY: {
    message: 'This application has a testDb already; roll that one back before the next test begins its own',
  },
  SQLA_ERR_TEST_DATABASE: {
    message: "Engine '%s' is one of %s; testDb can share transactions of PostgreSQL only",
  },
  SQLA_ERR_TEST_OVER: {
    message: "%s uses engine '%s', but its testDb has been rolled back; await what a test has started before",
  },
  SQLA_ERR_TEST_BUSY: {
    message:
      "%s waited %s ms for engine '%s', while %s has a transaction open there; with testDb all share one connection, so one " +
      'must end before the other can begin',
  },
  SQLA_ERR_TEST_OVERLAP: {
    message:
      "The transaction of engine '%s' cannot go on: it overlapped with one of engine '%s' in the same database, which was rolled " +
      'back; with testDb both share one connection, and what was done meanwhile has other answers now',
  },
  SQLA_ERR_TEST_REPEAT: {
    message:
      "What engine '%s' had saved by itself, while a transaction of the same request was open, could not be saved again after " +
      'that was rolled back: %s',
  },
  SQLA_ERR_TEST_STATEMENT: {
    message:
      "Engine '%s': %s would end the transaction that the whole test shares; use the session's methods",
  },
  SQLA_ERR_TEST_ENDED: {
    message:
      "Engine '%s': a statement has ended the transaction that the whole test shares; what was saved before it is in the database",
  },
} as const satisfies Record<string, ErrorRow>

/** The error classes of `fastify-sqlassist/testing`, by code. */
export const errors: ErrorClasses<typeof errorTable> = defineErrors(errorTable)
