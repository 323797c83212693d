import { inspect } from 'node:util'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type {
  DiagnosticScope,
  OutcomeMessage,
  PoolWaitMessage,
  SessionEndMessage,
  StatementMessage,
} from '../../src/index.ts'
import { cut } from './cut.ts'
import { codeOf } from './database-errors.ts'
import { assertOptions, boolean, type Check, described, oneOf } from './options.ts'
import { observeOwn } from './own-messages.ts'

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

type Level = (typeof LEVELS)[number]

/** Options of the plugin. */
export interface StatementLogOptions {
  /** Whether every statement, COMMIT and ROLLBACK is logged, with the level `debug`. Default false. */
  readonly all?: boolean
  /**
   * What takes that long or longer is logged with the level `warn`, in milliseconds: statements, COMMIT, waiting for a connection.
   * Default 200; `Infinity`: nothing is.
   */
  readonly slowerThan?: number
  /** The level of what has failed. Default `'warn'`: whether it is an error, the request decides; `'silent'`: no line. */
  readonly failedLevel?: Level
  /**
   * Whether the values are logged: the parameters, the literals in the SQL, and what the database says of an error, which quotes them.
   * They may be anything that users have typed. Default false.
   */
  readonly parameters?: boolean
  /** How many characters of an SQL text are logged. Default 2,000. */
  readonly maxLength?: number
}

const MOST_PARAMETERS = 50
const MOST_OF_PARAMETER = 200

const milliseconds: Check = value =>
  typeof value === 'number' && value >= 0
    ? undefined
    : `must be milliseconds, at least 0, or Infinity, not ${described(value)}`
const length: Check = value =>
  Number.isInteger(value) && Number(value) > 0
    ? undefined
    : `must be a number of characters, at least 1, not ${described(value)}`

const CHECKS = {
  all: boolean,
  slowerThan: milliseconds,
  failedLevel: oneOf(LEVELS),
  parameters: boolean,
  maxLength: length,
}

async function register(app: FastifyInstance, options: StatementLogOptions): Promise<void> {
  assertOptions(options, CHECKS, 'statementLog')
  const {
    all = false,
    slowerThan = 200,
    failedLevel = 'warn',
    parameters = false,
    maxLength = 2_000,
  } = options

  /** With which level something is logged that has gone well. */
  const levelOf = (duration = 0): Level => (duration >= slowerThan ? 'warn' : all ? 'debug' : 'silent')

  function write(scope: DiagnosticScope, level: Level, fields: () => object, text: string): void {
    // It is the logger of a Fastify request or application, of which the core uses less.
    const log = scope.log as FastifyBaseLogger
    if (isEnabled(log, level)) log[level](fields(), text)
  }

  const errorFields = (error: unknown): object => ({ code: codeOf(error), ...(parameters && { err: error }) })

  function statementFields(message: StatementMessage): object {
    const { engine, server, duration, rows, inTransaction, error } = message
    const revealed = parameters ? message.reveal() : undefined
    return {
      engine,
      server: server.name,
      duration: rounded(duration),
      rows,
      inTransaction,
      sql: cut(revealed?.text ?? message.sql, maxLength),
      ...(revealed && { parameters: shown(revealed.parameters) }),
      ...(error !== undefined && errorFields(error)),
    }
  }

  /** COMMIT, ROLLBACK, and waiting for a connection. */
  function step(
    { scope, engine, duration, error }: SessionEndMessage | PoolWaitMessage,
    level: Level,
    texts: { done: string; failed: string },
  ): void {
    const fields = { engine, duration: rounded(duration) }
    if (error === undefined) write(scope, level, () => fields, texts.done)
    else write(scope, failedLevel, () => ({ ...fields, ...errorFields(error) }), texts.failed)
  }

  observeOwn(app, 'statementLog', {
    'sqlassist:statement:end': message => {
      const isSlow = (message.duration ?? 0) >= slowerThan
      const text = isSlow ? 'a slow statement' : 'a statement'
      write(message.scope, levelOf(message.duration), () => statementFields(message), text)
    },
    'sqlassist:statement:error': message =>
      write(message.scope, failedLevel, () => statementFields(message), 'a statement failed'),
    'sqlassist:session:commit': message =>
      step(message, levelOf(message.duration), {
        done: message.duration >= slowerThan ? 'a slow COMMIT' : 'COMMIT',
        failed: 'COMMIT failed',
      }),
    'sqlassist:session:rollback': message =>
      step(message, levelOf(message.duration), { done: 'ROLLBACK', failed: 'ROLLBACK failed' }),
    'sqlassist:pool:wait': message =>
      step(message, message.duration >= slowerThan ? 'warn' : 'silent', {
        done: 'waited long for a connection',
        failed: 'waited for a connection in vain',
      }),
    ...(all && {
      // COMMIT has its own line; why something was not saved is what people look for.
      'sqlassist:outcome': ({ scope, outcome, reason }: OutcomeMessage) => {
        if (outcome === 'rollback') write(scope, 'debug', () => ({ reason }), 'nothing will be committed')
      },
    }),
  })
}

/** Loggers of one's own may not tell. */
function isEnabled(log: FastifyBaseLogger, level: Level): boolean {
  if (level === 'silent') return false
  const { isLevelEnabled } = log as { isLevelEnabled?: (level: string) => boolean }
  return isLevelEnabled === undefined || isLevelEnabled.call(log, level)
}

function rounded(duration: number | undefined): number | undefined {
  return duration === undefined ? undefined : Math.round(duration * 100) / 100
}

function shown(parameters: readonly unknown[]): unknown[] {
  const texts = parameters.slice(0, MOST_PARAMETERS).map(value => {
    if (typeof value === 'string') return cut(value, MOST_OF_PARAMETER)
    if (value instanceof Uint8Array) return `(${value.byteLength} bytes)`
    return typeof value === 'object' && value !== null
      ? cut(inspect(value, { breakLength: Number.POSITIVE_INFINITY }), MOST_OF_PARAMETER)
      : value
  })
  const left = parameters.length - texts.length
  return left > 0 ? [...texts, `(${left} more)`] : texts
}

/**
 * Logs slow and failed statements through the logger of their request, and all of them if told so; without the values.
 *
 * Throws SQLA_ERR_INVALID_OPTION.
 *
 * @example
 * ```ts
 * await app.register(sqlAssist, { engines })
 * await app.register(statementLog, { slowerThan: 100 })
 * ```
 */
export const statementLog = fastifyPlugin(register, {
  fastify: '5.x',
  name: 'fastify-sqlassist-statement-log',
  dependencies: ['fastify-sqlassist'],
})
