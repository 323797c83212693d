import type { FastifyInstance, FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { errors as coreErrors, type Engine } from '../../src/index.ts'
import type { SegmentsParts } from './access.ts'
import { errors } from './errors.ts'
import { assertOptions } from './plugin-options.ts'
import { PostgresDialect } from './postgres-dialect.ts'
import { assertSaveable } from './saved-segments.ts'
import type { Identity, SegmentContext } from './segment.ts'
import type { SegmentsEnvironment } from './segment-query.ts'
import { SegmentRegistry } from './segment-registry.ts'
import { AppSegments, RequestSegments } from './segments.ts'
import { assertPostgres, type SegmentTablesOptions, segmentTables } from './tables.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Identities and segments of this process. */
    segments: AppSegments
  }
  interface FastifyRequest {
    /** Identities and segments, in the transaction of this request. */
    segments: RequestSegments
  }
}

/** Options of the plugin. */
export interface SegmentsOptions extends SegmentTablesOptions {
  /** The environment that identities and saved segments belong to. Its key is in every row. */
  readonly environment: SegmentsEnvironment
  /** The engine with the tables. Default `'writer'` if there is such an engine, else the default one. */
  readonly engine?: string
  /** Where counts and members are read: `'reader'` keeps heavy scans away from the writer. Default: the same engine. */
  readonly readEngine?: string
  /** Whether missing tables are created at start. Default false: make them with a migration, or with this. */
  readonly createTables?: boolean
  /** Who sends a request. Called when `request.segments` is first asked about him. */
  readonly identity?: (request: FastifyRequest) => Identity | undefined
  /** Segments that are defined in code. They win over saved ones of the same key. */
  readonly segments?: readonly SegmentContext[]
  /** How often the database is asked for saved segments, whether or not it has notified: milliseconds. Default 5,000. */
  readonly ttl?: number
  /** What `request.db` is called: the option of the same name of `sqlAssist`. Default `'db'`. */
  readonly requestProperty?: string
}

const kSegments = Symbol('fastify-sqlassist.segments')

interface Slot {
  [kSegments]: RequestSegments | null
}

async function register(app: FastifyInstance, options: SegmentsOptions): Promise<void> {
  assertOptions(options)
  const { identity, requestProperty = 'db', createTables = false } = options
  const parts = await partsOf(app, options)
  const segments = new AppSegments(parts)
  if (createTables) await segments.createTables()
  app.decorate('segments', segments)
  app.decorateRequest(kSegments as never, null as never)
  app.decorateRequest('segments', {
    getter(this: FastifyRequest) {
      const slot = this as unknown as Slot
      slot[kSegments] ??= new RequestSegments({ ...parts, request: this, requestProperty, identity })
      return slot[kSegments]
    },
  })
  app.addHook('onReady', () => parts.registry.start())
  app.addHook('preClose', () => parts.registry.close())
}

async function partsOf(app: FastifyInstance, options: SegmentsOptions): Promise<SegmentsParts> {
  if (!app.hasDecorator('sqlAssist')) {
    throw new errors.SQLA_ERR_SEGMENT_STORAGE('register sqlAssist before segments')
  }
  const { engines } = app.sqlAssist
  const engine = engines.get(options.engine ?? (engines.has('writer') ? 'writer' : undefined))
  const readEngine = options.readEngine === undefined ? engine : engines.get(options.readEngine)
  assertPostgres(engine)
  assertPostgres(readEngine)
  if (options.createTables && engine.readOnly) {
    throw new errors.SQLA_ERR_SEGMENT_STORAGE(
      `engine '${engine.name}' is read-only, so no tables can be created`,
    )
  }
  const { environment, segments = [], ttl = 5_000 } = options
  const source = {
    environment: { key: environment.key, name: environment.name },
    tables: segmentTables(options),
    dialect: new PostgresDialect({ version: await oldestVersion([engine, readEngine]) }),
    compiled: new Map(),
    defined: definedIn(segments),
  }
  const registry = new SegmentRegistry({ ...source, engine, ttl, log: app.log })
  return { source, registry, engine, readEngine }
}

/** Newer servers know shorter ways; a query may go to each of them. */
async function oldestVersion(engines: readonly Engine[]): Promise<number> {
  const versions = [...new Set(engines)].map(async engine => {
    const [row]: { version: string }[] = await engine.orm.em
      .fork()
      .execute("select current_setting('server_version_num') as version")
    return Math.floor(Number(row?.version) / 10_000)
  })
  return Math.min(...(await Promise.all(versions)))
}

function definedIn(segments: readonly SegmentContext[]): Map<string, SegmentContext> {
  const defined = new Map<string, SegmentContext>()
  for (const segment of segments) {
    assertSaveable(segment)
    if (defined.has(segment.key)) {
      throw new coreErrors.SQLA_ERR_INVALID_OPTION('segments', `has two with the key '${segment.key}'`)
    }
    defined.set(segment.key, segment)
  }
  return defined
}

/**
 * Identities in a table, and segments of them: how many are in one, who, and whether the sender of a request is.
 *
 * @example
 * ```ts
 * await app.register(sqlAssist, { engines })
 * await app.register(segments, {
 *   environment: { key: 'production', name: 'Production' },
 *   createTables: true,
 *   identity: ({ user }) => user && { identifier: user.id, traits: { plan: user.plan } },
 * })
 * app.get('/offer', async request => (request.segments.isIn('pro-users') ? 'pro' : 'free'))
 * ```
 */
export const segments = fastifyPlugin(register, {
  fastify: '5.x',
  name: 'fastify-sqlassist-segments',
})
