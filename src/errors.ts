import createError, { type FastifyErrorConstructor } from '@fastify/error'

/** One row of an error table: the message (`%s` takes an argument) and the HTTP status it maps to. */
export interface ErrorRow {
  readonly message: string
  /** HTTP status that Fastify answers with when nobody handles the error; 500 when left out. */
  readonly statusCode?: number
  /** The native class to extend, so that `instanceof TypeError` holds where a reader expects it. */
  readonly base?: ErrorConstructor
}

/** The classes that belong to a table of {@link ErrorRow}s, by code. */
export type ErrorClasses<T extends Record<string, ErrorRow>> = {
  readonly [Code in keyof T & string]: FastifyErrorConstructor<
    { code: Code; statusCode: number },
    (string | number | { cause?: unknown })[]
  >
}

/**
 * Turns a table of codes into error classes. The core has one table, every plugin that throws has its own;
 * a test ties all of them to `docs/errors.md`.
 *
 * @param table code → message, status and base class
 * @returns code → class; `new classes.CODE(...args, { cause })` formats the message with `args`
 *
 * @example
 * ```ts
 * const errors = defineErrors({ SQLA_ERR_EXAMPLE: { message: "no engine '%s'", statusCode: 503 } })
 * throw new errors.SQLA_ERR_EXAMPLE('writer')
 * ```
 */
export function defineErrors<const T extends Record<string, ErrorRow>>(table: T): ErrorClasses<T> {
  const classes: Record<string, unknown> = {}
  for (const [code, row] of Object.entries(table)) {
    classes[code] = createError(code, row.message, row.statusCode ?? 500, row.base)
  }
  return classes as ErrorClasses<T>
}

/** The error table of the core. `docs/errors.md` says for each code how to solve it. */
export const errorTable = {
  // Registering and options
  SQLA_ERR_INVALID_OPTION: { message: 'Invalid option: %s %s', base: TypeError },
  SQLA_ERR_INVALID_ENGINE_NAME: { message: "'%s' cannot be the name of an engine: %s", base: TypeError },
  SQLA_ERR_DUPLICATE_ENGINE: { message: "There is an engine named '%s' already" },
  SQLA_ERR_ALREADY_REGISTERED: { message: 'fastify-sqlassist is registered already on this instance; %s' },
  SQLA_ERR_ENGINE_START: { message: "Engine '%s' could not be started: %s" },

  // The registry
  SQLA_ERR_UNKNOWN_ENGINE: { message: "There is no engine named '%s'; there are: %s" },
  SQLA_ERR_NO_DEFAULT_ENGINE: {
    message: 'Which engine? None is marked default and none is named default; there are: %s',
  },
  SQLA_ERR_NO_CANDIDATE_ENGINE: { message: 'None of anyPreferences (%s) is an engine; there are: %s' },
  SQLA_ERR_CLOSED: { message: '%s: the application has been closed', statusCode: 503 },

  // Sessions
  SQLA_ERR_SESSION_CLOSED: {
    message: "The session '%s' of %s was used after it had been closed",
  },
  SQLA_ERR_SESSION_STREAMING: {
    message:
      "The session '%s' of %s is in the middle of a stream; a statement would wait for that stream's end. " +
      'Collect the rows first, or read the stream through another engine',
  },
  SQLA_ERR_READ_ONLY: { message: "Engine '%s' is read-only: %s was refused" },
  SQLA_ERR_TRANSACTION_STARTED: {
    message:
      "The transaction of session '%s' has begun already; %s must be decided before its first statement",
  },
  SQLA_ERR_NO_TRANSACTION: {
    message: "Sessions of engine '%s' have no transaction of their own to begin; use em.transactional()",
  },
  SQLA_ERR_UNSUPPORTED: { message: '%s is not possible through the Kysely of a session' },
  SQLA_ERR_COMMIT_ROLLED_BACK: {
    message:
      "COMMIT of session '%s' was answered with ROLLBACK: an earlier statement of this transaction had failed " +
      'and its error was swallowed. Nothing was saved',
  },
  SQLA_ERR_TRANSACTION_DOOMED: {
    message: 'The transaction of %s has been doomed: it can only be rolled back',
  },
  SQLA_ERR_COMMIT_LOST: {
    message:
      "The connection of session '%s' was lost at COMMIT, and its server says that nothing was committed",
    statusCode: 503,
  },
  SQLA_ERR_COMMIT_IN_DOUBT: {
    message:
      "The connection of session '%s' was lost at COMMIT, and nobody can tell whether it was committed: %s",
    statusCode: 503,
  },
  SQLA_ERR_PARTIAL_COMMIT: {
    message: '%s was committed in part. Committed: %s. Not committed: %s',
  },
  SQLA_ERR_TWO_PHASE_UNAVAILABLE: {
    message: "Engine '%s' cannot take part in two-phase commits: %s",
  },
  SQLA_ERR_TWO_PHASE_ABORTED: {
    message:
      'The commit of %s took so long between PREPARE TRANSACTION and its decision that it was rolled back. Nothing was saved',
    statusCode: 503,
  },
  SQLA_ERR_ENDLESS_COMMIT: {
    message: 'The callbacks before the commit of %s have registered further ones %s times',
  },
  SQLA_ERR_NO_SAVEPOINT: {
    message: "'%s' has joined the transaction and has no savepoints, so the transaction can have none",
  },
  SQLA_ERR_POOL_TIMEOUT: {
    message: "No connection of engine '%s' became free within %s ms (%s)",
    statusCode: 503,
  },

  // Routing
  SQLA_ERR_PRIMARY_UNAVAILABLE: {
    message: "The primary of engine '%s' is not available: %s",
    statusCode: 503,
  },
  SQLA_ERR_NO_REPLICA: {
    message: "No replica of engine '%s' can serve this read: %s",
    statusCode: 503,
  },

  // The life of a request
  SQLA_ERR_NOT_COVERED: {
    message:
      '%s was touched where its hooks do not run (%s), so nothing would be committed or cleaned up. ' +
      'Register fastify-sqlassist before the routes and hooks that use it',
  },
  SQLA_ERR_INVALID_RESPONSE: {
    message: 'The response cannot be sent, so nothing was committed: %s',
  },
} as const satisfies Record<string, ErrorRow>

/** The error classes of the core, by code. */
export const errors: ErrorClasses<typeof errorTable> = defineErrors(errorTable)

/** Every code that the core throws. */
export type SqlAssistErrorCode = keyof typeof errorTable
