import { defineErrors, type ErrorClasses, type ErrorRow } from '../../src/index.ts'

/** The error table of `fastify-sqlassist/events`. `docs/errors.md` says for each code how to solve it. */
export const errorTable = {
  SQLA_ERR_AGGREGATE_NOT_FOUND: { message: "There is no aggregate '%s'%s", statusCode: 404 },
  SQLA_ERR_VERSION_CONFLICT: {
    message: 'Somebody else was quicker: version %s of %s has been recorded already',
    statusCode: 409,
  },
  SQLA_ERR_TRACKING_CONFLICT: {
    message: "'%s' has processed notification %s already",
    statusCode: 409,
  },
  SQLA_ERR_AGGREGATE_INVALID: { message: "Aggregate '%s' is not declared right: %s", base: TypeError },
  SQLA_ERR_EVENT_UNKNOWN: { message: "Nobody knows events of the topic '%s'; there are: %s" },
  SQLA_ERR_EVENT_NOT_STORABLE: { message: "Event '%s' cannot be stored: %s %s", base: TypeError },
  SQLA_ERR_EVENT_UNREADABLE: { message: 'Version %s of %s cannot be read: %s' },
  SQLA_ERR_DECRYPTION: { message: 'The bytes cannot be decrypted: %s' },
  SQLA_ERR_EVENTS_STORAGE: { message: 'Events cannot be stored there: %s' },
  SQLA_ERR_EMMETT_PACKAGE: { message: '%s is not installed. Install it: npm i %s' },
  SQLA_ERR_WAIT_TIMEOUT: {
    message: "'%s' has not come to notification %s within %s ms",
    statusCode: 503,
  },
  SQLA_ERR_PROJECTION_FAILED: { message: "'%s' has stopped at notification %s: %s", statusCode: 503 },
} as const satisfies Record<string, ErrorRow>

/** The error classes of `fastify-sqlassist/events`, by code. */
export const errors: ErrorClasses<typeof errorTable> = defineErrors(errorTable)

/** There is no such aggregate, or it had not come to that version. */
export const AggregateNotFoundError = errors.SQLA_ERR_AGGREGATE_NOT_FOUND

/** Somebody else has recorded the same version of the same aggregate. */
export const OriginatorVersionConflictError = errors.SQLA_ERR_VERSION_CONFLICT
