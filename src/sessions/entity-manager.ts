import {
  type EntityManager,
  EventType,
  type ForkOptions,
  helper,
  type IsolationLevel,
  Reference,
  TransactionEventBroadcaster,
  type TransactionOptions,
  TransactionPropagation,
} from '@mikro-orm/core'
import type { AbstractSqlDriver, SqlEntityManager } from '@mikro-orm/sql'
import { errors } from '../errors.ts'
import type { Session } from './session.ts'
import { LazyTransaction, NoTransaction } from './session-transaction.ts'

/** A MikroORM EntityManager on any SQL driver. */
export type SqlEm = SqlEntityManager<AbstractSqlDriver>

/** The session that an EntityManager is, or is a fork of. */
const kOrigin = Symbol('fastify-sqlassist.origin')

interface Marked {
  [kOrigin]?: Session
}

/** The session that an EntityManager is, or is a fork of. */
export function originOf(em: EntityManager): Session | undefined {
  return (em as Marked)[kOrigin]
}

/** The session that a new entity was given to; MikroORM itself knows it only once the entity has been flushed. */
export function creatorOf(entity: object): Session | undefined {
  return markOf(entity)[kOrigin]
}

/** On MikroORM's helper object of the entity. (A WeakMap over all new entities costs more than the rest of us.) */
function markOf(entity: object): Marked {
  return helper(entity) as unknown as Marked
}

/** Makes an EntityManager of a {@link sessionClass} the one of `session`. */
export function bindSession(em: SqlEm, session: Session): void {
  ;(em as Marked)[kOrigin] = session
}

/** The session that an EntityManager is; a fork of one is none. */
function sessionOfOwn(em: SqlEm): Session | undefined {
  const origin = originOf(em)
  return origin?.em === em ? origin : undefined
}

export type EmClass = new (
  ...args: ConstructorParameters<typeof SqlEntityManager<AbstractSqlDriver>>
) => SqlEm

/**
 * The EntityManager class of an engine's sessions: that of its driver (or the application's own), which after
 * commit and rollback begins again, and whose forks know the session they came from. An instance that was not
 * bound to a session behaves like its base class.
 */
export function sessionClass(Base: EmClass): EmClass {
  return class SessionEntityManager extends Base {
    declare [kOrigin]?: Session

    override fork(options?: ForkOptions): this {
      const fork = super.fork(options)
      const origin = this[kOrigin]
      if (origin !== undefined) (fork as Marked)[kOrigin] = origin
      return fork
    }

    override persist(entity: Parameters<SqlEm['persist']>[0]): this {
      const origin = this[kOrigin]
      if (origin !== undefined) {
        // After MikroORM has refused what is no entity.
        const persisted = super.persist(entity)
        if (!Array.isArray(entity)) markOf(Reference.unwrapReference(entity))[kOrigin] = origin
        else for (const one of entity) markOf(Reference.unwrapReference(one))[kOrigin] = origin
        return persisted
      }
      return super.persist(entity)
    }

    /** A session without a transaction of its own says so: MikroORM then flushes in one. */
    override isInTransaction(): boolean {
      return super.isInTransaction() && !(this.getTransactionContext() instanceof NoTransaction)
    }

    override transactional<T>(
      cb: (em: this) => T | Promise<T>,
      options: TransactionOptions = {},
    ): Promise<T> {
      if (!(this.getTransactionContext() instanceof NoTransaction)) return super.transactional(cb, options)
      const { isolationLevel, readOnly, propagation } = options
      const begun =
        isolationLevel === undefined && readOnly === undefined
          ? cb
          : async (em: this): Promise<T> => {
              await beginUnit(em, options)
              return cb(em)
            }
      return super.transactional(begun, { ...options, propagation: outsideTransaction(propagation) })
    }

    override async begin(options: Parameters<SqlEm['begin']>[0] = {}): Promise<void> {
      const session = sessionOfOwn(this)
      if (session === undefined) return super.begin(options)
      if (!('begin' in session.connection)) throw new errors.SQLA_ERR_NO_TRANSACTION(session.engine.name)
      const { isolationLevel, readOnly } = options as { isolationLevel?: IsolationLevel; readOnly?: boolean }
      await session.connection.begin(
        isolationLevel === undefined && readOnly === undefined
          ? undefined
          : session.engine.beginStatements({ isolationLevel, readOnly }),
      )
    }

    override async commit(): Promise<void> {
      const session = sessionOfOwn(this)
      if (session === undefined) return super.commit()
      await this.flush()
      await session.commitFlushed()
    }

    override async rollback(): Promise<void> {
      const session = sessionOfOwn(this)
      if (session === undefined) return super.rollback()
      await session.rollback()
    }
  }
}

/** To MikroORM it is a savepoint, which has no isolation level; but it is a transaction of its own, and has not begun yet. */
async function beginUnit(
  em: SqlEm,
  { isolationLevel, readOnly }: Pick<TransactionOptions, 'isolationLevel' | 'readOnly'>,
): Promise<void> {
  const context = em.getTransactionContext<unknown>()
  const engine = originOf(em)?.engine
  if (!(context instanceof LazyTransaction) || engine === undefined) return
  await context.sessionConnection.begin(
    engine.beginStatements({
      isolationLevel: isolationLevel as IsolationLevel | undefined,
      readOnly: readOnly ?? engine.readOnly,
    }),
  )
}

/** Outside a transaction, what needs one gets one, and what wants none has none. */
function outsideTransaction(propagation: TransactionOptions['propagation']): TransactionPropagation {
  switch (propagation) {
    case TransactionPropagation.MANDATORY:
      return TransactionPropagation.MANDATORY
    case TransactionPropagation.NEVER:
    case TransactionPropagation.SUPPORTS:
    case TransactionPropagation.NOT_SUPPORTED:
      return TransactionPropagation.NOT_SUPPORTED
    default:
      return TransactionPropagation.NESTED
  }
}

/** For {@link Session}: MikroORM's own commit of a transaction context, with its events. */
export async function commitContext(em: SqlEm, context: unknown): Promise<void> {
  await em.getConnection('write').commit(context as never, new TransactionEventBroadcaster(em))
}

/** For {@link Session}: tells subscribers what {@link commitContext} would, where the commit is not MikroORM's to do. */
export async function announceCommit(em: SqlEm, context: unknown, is: 'before' | 'after'): Promise<void> {
  const event = is === 'before' ? EventType.beforeTransactionCommit : EventType.afterTransactionCommit
  await new TransactionEventBroadcaster(em).dispatchEvent(event, context as never)
}

/** For {@link Session}: MikroORM's own rollback of a transaction context, with its events. */
export async function rollbackContext(em: SqlEm, context: unknown): Promise<void> {
  await em.getConnection('write').rollback(context as never, new TransactionEventBroadcaster(em))
}
