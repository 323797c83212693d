import { errors } from '../errors.ts'
import { IDENTIFIER } from '../option-checks.ts'
import { type EngineOptions, validateEngineOptions } from '../options.ts'
import { Engine, type EngineEnvironment } from './engine.ts'
import type { Primary } from './primary.ts'
import { hasReplicas } from './servers.ts'

/** Names with a meaning of their own in calls that take the name of an engine. */
const RESERVED = new Set(['!all', '!default'])

/** The named engines of an application, in the order in which they were registered. */
export class Registry implements Iterable<Engine> {
  readonly #engines = new Map<string, Engine>()
  readonly #environment: EngineEnvironment
  readonly #takenNames: (name: string) => boolean
  readonly #onStart: (engine: Engine) => Promise<void> | undefined
  readonly #onAdd: (engine: Engine) => void
  readonly #starting = new Map<string, Promise<void>>()
  #closed = false

  /**
   * @param takenNames whether a name is a member of the container, where the engine would hide it
   * @param onAdd is told of each engine that has started
   * @param onStart may refuse an engine that has started: what it throws, `add` throws
   */
  constructor(
    environment: EngineEnvironment,
    takenNames: (name: string) => boolean,
    onAdd: (engine: Engine) => void,
    onStart: (engine: Engine) => Promise<void> | undefined = () => undefined,
  ) {
    this.#environment = environment
    this.#takenNames = takenNames
    this.#onAdd = onAdd
    this.#onStart = onStart
  }

  /** See {@link Engines.get}. */
  get(name?: string): Engine {
    const engine = name === undefined || name === '!default' ? this.#default() : this.#engines.get(name)
    if (engine !== undefined) return engine
    if (name === undefined || name === '!default') throw new errors.SQLA_ERR_NO_DEFAULT_ENGINE(this.#list())
    throw new errors.SQLA_ERR_UNKNOWN_ENGINE(name, this.#list())
  }

  has(name: string): boolean {
    return this.#engines.has(name)
  }

  names(): string[] {
    return [...this.#engines.keys()]
  }

  get size(): number {
    return this.#engines.size
  }

  [Symbol.iterator](): Iterator<Engine> {
    return this.#engines.values()
  }

  /** See {@link Engines.add}. */
  async add(name: string, options: EngineOptions): Promise<Engine> {
    if (this.#closed) throw new errors.SQLA_ERR_CLOSED(`engines.add('${name}')`)
    this.#validate(name, options)
    const engine = new Engine(name, options, this.#environment)
    this.#engines.set(name, engine)
    const started = engine.start()
    this.#starting.set(name, started)
    try {
      await started
      await this.#accept(engine)
    } catch (error) {
      this.#engines.delete(name)
      throw error
    } finally {
      this.#starting.delete(name)
    }
    this.#onAdd(engine)
    return engine
  }

  /**
   * Who knows where the primary of `routing` is, once its engine has been started.
   *
   * @throws SQLA_ERR_INVALID_OPTION
   */
  async primary(): Promise<Primary> {
    // All engines start at the same time: let the others be there.
    await undefined
    const { primary: name } = this.#environment.routing
    const engine = this.#engines.get(name)
    // An engine with replicas would wait for itself.
    if (engine !== undefined && !hasReplicas(engine.options)) await this.#starting.get(name)
    if (engine?.primary !== undefined) return engine.primary
    throw new errors.SQLA_ERR_INVALID_OPTION(
      'routing.primary',
      engine === undefined
        ? `'${name}' is no engine; there are: ${this.#list()}`
        : `'${name}' must be a PostgreSQL engine that writes, given as a configuration, and known as the primary when it starts (say \`routing\`)`,
    )
  }

  /**
   * Gives engines a fresh pool, as after a fork.
   *
   * @param name one engine's, `'!default'`, or `'!all'`
   */
  async reinit(name = '!all'): Promise<void> {
    const engines = name === '!all' ? [...this] : [this.get(name)]
    await Promise.all(engines.map(engine => engine.reinit()))
  }

  async close(): Promise<void> {
    this.#closed = true
    const outcomes = await Promise.allSettled([...this].map(engine => engine.close()))
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') {
        this.#environment.log.error({ err: outcome.reason }, 'an engine could not be closed')
      }
    }
  }

  async #accept(engine: Engine): Promise<void> {
    try {
      await this.#onStart(engine)
    } catch (error) {
      await engine.close()
      throw error
    }
  }

  #validate(name: string, options: EngineOptions): void {
    if (RESERVED.has(name)) throw new errors.SQLA_ERR_INVALID_ENGINE_NAME(name, 'it is reserved')
    if (!IDENTIFIER.test(name)) {
      throw new errors.SQLA_ERR_INVALID_ENGINE_NAME(
        name,
        'it must be an identifier, as it becomes a property',
      )
    }
    if (this.#takenNames(name)) {
      throw new errors.SQLA_ERR_INVALID_ENGINE_NAME(name, 'it is a member of the request container')
    }
    if (this.#engines.has(name)) throw new errors.SQLA_ERR_DUPLICATE_ENGINE(name)
    validateEngineOptions(name, options)
    const { consistency, token } = this.#environment.routing
    if (hasReplicas(options) && consistency === 'session' && token === undefined) {
      throw new errors.SQLA_ERR_INVALID_OPTION(
        'routing.token',
        `is needed by the replicas of '${name}': { secret } signs what tells a client's next read what it must see. Without it, say routing.consistency 'eventual' or 'primary'`,
      )
    }
    const marked = [...this].find(engine => engine.options.default)
    if (options.default && marked !== undefined) {
      throw new errors.SQLA_ERR_INVALID_OPTION(
        `engines.${name}.default`,
        `'${marked.name}' is marked default already`,
      )
    }
  }

  #default(): Engine | undefined {
    const engines = [...this]
    return (
      engines.find(engine => engine.options.default) ??
      this.#engines.get('default') ??
      (engines.length === 1 ? engines[0] : undefined)
    )
  }

  #list(): string {
    return this.names().join(', ') || 'none'
  }
}
