import type {
  ErrorCode,
  EvaluationContext,
  FlagMetadata,
  Hook,
  Provider,
  ProviderEvents,
  ResolutionDetails,
  JsonValue as SdkJsonValue,
} from '@openfeature/server-sdk'
import type { FlagClient } from './client.ts'
import { errors } from './errors.ts'
import { entriesOf } from './evaluation-context.ts'
import type { Flag } from './flag.ts'
import type { JsonValue } from './flag-data.ts'
import { ProviderEmitter } from './provider-events.ts'

/** How flags are told to OpenFeature. */
export interface SqlAssistProviderOptions {
  /**
   * Under which name, or names, flags look for the subject: that is what OpenFeature's `targetingKey` becomes. An entry
   * of the context with such a name wins. Default `'user_id'`.
   */
  readonly actorKey?: string | readonly string[]
  /** What is told of a flag besides its value. Default: its version, and its owner if it has one. */
  readonly flagMetadata?: (flag: Flag) => FlagMetadata
  /** Whether `OpenFeature.close()` closes the client, too. Default false: whoever has made the client closes it. */
  readonly closeClient?: boolean
  /** Hooks of the provider, which run for every evaluation. */
  readonly hooks?: readonly Hook[]
}

/** Values of the SDK's enums: its types are imported, the SDK itself is not. */
const READY = 'PROVIDER_READY' as ProviderEvents.Ready
const STALE = 'PROVIDER_STALE' as ProviderEvents.Stale
const CHANGED = 'PROVIDER_CONFIGURATION_CHANGED' as ProviderEvents.ConfigurationChanged

/**
 * Makes the flags known to OpenFeature (`@openfeature/server-sdk`, an optional peer).
 *
 * Its evaluations read the client's snapshot, never the database, and never throw: errors are codes. It is READY once
 * the flags have been read, STALE while the storage cannot be asked and the last flags go on serving, and tells which
 * flags have changed.
 *
 * @param client as it comes from `app.flags` or `new FlagClient(…)`; it is started if it has not been
 * @example
 * ```ts
 * await OpenFeature.setProviderAndWait(new SqlAssistProvider(app.flags))
 * const isNew = await OpenFeature.getClient().getBooleanValue('new-checkout', false, { targetingKey: '42' })
 * ```
 * @see https://openfeature.dev/specification/sections/providers
 */
export class SqlAssistProvider implements Provider {
  readonly metadata = { name: 'fastify-sqlassist' } as const
  readonly runsOn = 'server'
  readonly events: ProviderEmitter = new ProviderEmitter()
  readonly hooks: Hook[]
  readonly #client: FlagClient
  readonly #actorKeys: readonly string[]
  readonly #flagMetadata: (flag: Flag) => FlagMetadata
  readonly #closesClient: boolean
  #detach: (() => void) | undefined

  constructor(client: FlagClient, options: SqlAssistProviderOptions = {}) {
    const { actorKey = 'user_id', flagMetadata = versionAndOwner, closeClient = false, hooks = [] } = options
    this.#client = client
    this.#actorKeys = typeof actorKey === 'string' ? [actorKey] : actorKey
    this.#flagMetadata = flagMetadata
    this.#closesClient = closeClient
    this.hooks = [...hooks]
  }

  /**
   * Reads the flags. The SDK calls it, and tells READY or ERROR. After an ERROR the client goes on trying; READY follows
   * when it succeeds.
   *
   * @throws SQLA_ERR_FLAG_UNREAD: the storage has not answered, and never has before; its error is the `cause`
   */
  async initialize(): Promise<void> {
    const client = this.#client
    await client.start()
    // From here on only: what the first reading finds has not changed.
    this.#attach()
    if (client.syncedAt === undefined) throw new errors.SQLA_ERR_FLAG_UNREAD({ cause: client.failure })
    // The SDK says READY when this is done; that it is not must come after that.
    if (client.stale) setImmediate(() => client.stale && this.#tellStale(true))
  }

  /** Tells no more events. The client goes on, unless `closeClient`. */
  async onClose(): Promise<void> {
    this.#detach?.()
    this.#detach = undefined
    if (this.#closesClient) await this.#client.close()
  }

  async resolveBooleanEvaluation(
    flagKey: string,
    defaultValue: boolean,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<boolean>> {
    return this.#resolve(flagKey, defaultValue, context)
  }

  async resolveStringEvaluation(
    flagKey: string,
    defaultValue: string,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<string>> {
    return this.#resolve(flagKey, defaultValue, context)
  }

  async resolveNumberEvaluation(
    flagKey: string,
    defaultValue: number,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<number>> {
    return this.#resolve(flagKey, defaultValue, context)
  }

  async resolveObjectEvaluation<T extends SdkJsonValue>(
    flagKey: string,
    defaultValue: T,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<T>> {
    return this.#resolve(flagKey, defaultValue, context)
  }

  #resolve<T extends SdkJsonValue>(
    flagKey: string,
    defaultValue: T,
    context: EvaluationContext,
  ): ResolutionDetails<T> {
    const client = this.#client
    if (client.syncedAt === undefined) {
      return failed(defaultValue, 'PROVIDER_NOT_READY', 'the flags have not been read yet')
    }
    try {
      const flag = client.flags().get(flagKey)
      if (flag === undefined) {
        client.noteUnknown(flagKey)
        return failed(defaultValue, 'FLAG_NOT_FOUND', `there is no flag named '${flagKey}'`)
      }
      const flagMetadata = this.#flagMetadata(flag)
      const known = client.context(entriesOf(context, this.#actorKeys))
      const details = known.details(flagKey as never, defaultValue as JsonValue)
      if (details.errorCode !== undefined) {
        const { errorCode } = details
        const what = errorCode === 'TYPE_MISMATCH' ? 'has a value of another type' : 'could not be evaluated'
        return { ...failed(defaultValue, errorCode, `flag '${flagKey}' ${what}`), flagMetadata }
      }
      const { value, reason, variant } = details
      return {
        value: value as T,
        reason,
        flagMetadata,
        ...(variant === undefined ? {} : { variant }),
      }
    } catch {
      // A function of the application's has thrown. Its message may say anything.
      return failed(defaultValue, 'GENERAL', `flag '${flagKey}' could not be evaluated`)
    }
  }

  #attach(): void {
    this.#detach?.()
    const ends = [
      this.#client.onChange(names => this.events.emit(CHANGED, { flagsChanged: [...names] })),
      this.#client.onStale(isStale => this.#tellStale(isStale)),
    ]
    this.#detach = () => {
      for (const end of ends) end()
    }
  }

  #tellStale(isStale: boolean): void {
    if (!isStale) this.events.emit(READY, {})
    // Without flags it is not stale but in error, as it was before.
    else if (this.#client.syncedAt !== undefined) {
      this.events.emit(STALE, { message: 'the flags could not be read; the last ones go on serving' })
    }
  }
}

function failed<T>(value: T, code: `${ErrorCode}`, errorMessage: string): ResolutionDetails<T> {
  return { value, reason: 'ERROR', errorCode: code as ErrorCode, errorMessage }
}

function versionAndOwner({ version, data }: Flag): FlagMetadata {
  return data.owner == null ? { version } : { version, owner: data.owner }
}
