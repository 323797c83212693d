import type { Engine } from '../engines/engine.ts'
import { connectionOf, platformOf } from '../engines/orm.ts'
import { type EmClass, type SqlEm, sessionClass } from './entity-manager.ts'
import { savepointDriver, type TransactionParts, unsupported } from './session-transaction.ts'

/** What every session of an engine is made from; built once per engine, with its first session. */
export interface SessionFactory {
  readonly parts: TransactionParts
  forkEntityManager(): SqlEm
}

const factories = new WeakMap<Engine, SessionFactory>()

export function factoryOf(engine: Engine): SessionFactory {
  const known = factories.get(engine)
  if (known !== undefined) return known
  const factory = createFactory(engine)
  factories.set(engine, factory)
  return factory
}

function createFactory(engine: Engine): SessionFactory {
  const { orm } = engine
  const platform = platformOf(orm)
  const converter = platform.getExceptionConverter()
  // `fork()` makes `new em.constructor(…)`. This way forks of the global EntityManager are sessions' and still
  // carry what was set on it (filters and their parameters above all), for an instance of the application's too.
  // Two engines may share an instance.
  if (!Object.hasOwn(orm.em, 'constructor')) {
    Object.defineProperty(orm.em, 'constructor', { value: sessionClass(orm.em.constructor as EmClass) })
  }
  const fork = {
    disableContextResolution: true,
    // Nothing is ever flushed through it, so no query needs to look for what is pending.
    ...(engine.readOnly ? { flushMode: 'commit' as const } : {}),
  }
  return {
    parts: {
      executor: connectionOf(orm).getClient().getExecutor(),
      dialect: {
        createAdapter: unsupported,
        createDriver: unsupported,
        createQueryCompiler: unsupported,
        createIntrospector: () => connectionOf(orm).getClient().introspection,
      },
      driver: savepointDriver(name => platform.quoteIdentifier(name)),
      convertError: error => (isCoded(error) ? error : converter.convertException(error as Error)),
    },
    forkEntityManager: () => orm.em.fork(fork) as SqlEm,
  }
}

function isCoded(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith('SQLA_ERR_')
}
