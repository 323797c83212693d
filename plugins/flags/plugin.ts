import type { FastifyInstance, FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { FlagClient, type FlagClientOptions } from './client.ts'
import type { FlagContext } from './context.ts'
import { errors } from './errors.ts'
import type { Entries } from './flag.ts'
import { FlagStorage, type FlagStorageOptions } from './storage.ts'
import type { FlagStore } from './store.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The flags of this process. */
    flags: FlagClient
  }
  interface FastifyRequest {
    /** The flags of this request: they do not change while it lasts. */
    flags: FlagContext
  }
}

/** Options of the plugin. */
export interface FlagsOptions
  extends Pick<FlagClientOptions, 'ttl' | 'isInSegment' | 'strict' | 'recordUsage'>,
    Omit<FlagStorageOptions, 'on'> {
  /** Where the flags are. Default: in tables of `engine`. */
  readonly storage?: FlagStore
  /** The engine with the tables. Default `'writer'` if there is such an engine, else the default one. */
  readonly engine?: string
  /** Whether missing tables are created. Default false: make them with a migration, or with this. */
  readonly createTables?: boolean
  /** What is known of whoever sends a request. Called when its flags are first asked for. */
  readonly entries?: (request: FastifyRequest) => Entries
}

const kContext = Symbol('fastify-sqlassist.flags')

interface Slot {
  [kContext]: FlagContext | null
}

async function register(app: FastifyInstance, options: FlagsOptions): Promise<void> {
  const storage = options.storage ?? (await databaseStorage(app, options))
  const source = app.hasDecorator('sqlAssist') ? app.sqlAssist : undefined
  const client = new FlagClient({ ...options, storage, source, log: app.log })
  const { entries } = options
  app.decorate('flags', client)
  app.decorateRequest(kContext as never, null as never)
  app.decorateRequest('flags', {
    getter(this: FastifyRequest) {
      const slot = this as unknown as Slot
      slot[kContext] ??= client.context(entries?.(this), this)
      return slot[kContext]
    },
  })
  app.addHook('onReady', () => client.start())
  app.addHook('preClose', () => client.close())
}

async function databaseStorage(app: FastifyInstance, options: FlagsOptions): Promise<FlagStorage> {
  if (!app.hasDecorator('sqlAssist')) {
    throw new errors.SQLA_ERR_FLAG_STORAGE('register sqlAssist before flags, or give `storage`')
  }
  const { engines } = app.sqlAssist
  const { flagsTable, metadataTable, historyTable, usageTable, schema } = options
  const on = engines.get(options.engine ?? (engines.has('writer') ? 'writer' : undefined))
  if (options.createTables && on.readOnly) {
    throw new errors.SQLA_ERR_FLAG_STORAGE(`engine '${on.name}' is read-only, so no tables can be created`)
  }
  const storage = new FlagStorage({
    on,
    ...(flagsTable === undefined ? {} : { flagsTable }),
    ...(metadataTable === undefined ? {} : { metadataTable }),
    ...(historyTable === undefined ? {} : { historyTable }),
    ...(usageTable === undefined ? {} : { usageTable }),
    ...(schema === undefined ? {} : { schema }),
  })
  if (options.createTables) await storage.createTables()
  return storage
}

/**
 * Feature flags in the application's own database: `request.flags.isEnabled('new-checkout')`.
 *
 * @example
 * ```ts
 * await app.register(sqlAssist, { engines })
 * await app.register(flags, { createTables: true, entries: request => ({ user_id: request.headers['x-user'] }) })
 * app.get('/checkout', async request => (request.flags.isEnabled('new-checkout') ? 'new' : 'old'))
 * ```
 */
export const flags = fastifyPlugin(register, {
  fastify: '5.x',
  name: 'fastify-sqlassist-flags',
})
