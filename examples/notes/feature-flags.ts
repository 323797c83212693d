import type { FastifyInstance } from 'fastify'
import { errors, FlagStorage, flags } from 'fastify-sqlassist/flags'

declare module 'fastify-sqlassist/flags' {
  /** From here on the compiler knows the names; a misspelt one does not compile. */
  interface SqlAssistFlags {
    'latest-notes': boolean
  }
}

/** Feature flags in the writer's database, for visitors of the pages. */
export async function addFeatureFlags(app: FastifyInstance): Promise<void> {
  const storage = new FlagStorage({ on: app.sqlAssist.engines.get('writer') })
  // Not now: `sqlassist database` loads the application for its engines, and makes tables by itself.
  // Before the plugin: its own hook then reads the flags that this one has made.
  app.addHook('onReady', async () => {
    await storage.createTables()
    await seed(storage)
  })
  await app.register(flags, {
    storage,
    entries: ({ visitor, traits }) => ({
      visitor_id: visitor || undefined,
      has_written: traits?.has_written === true || undefined,
    }),
    // A flag that names segments is on for whom these entries put into one of them.
    isInSegment: app.segments.isInSegment,
  })
}

/** The flag is there to be found on the page of the flags, and off. Whatever has become of it stays. */
async function seed(storage: FlagStorage): Promise<void> {
  // A tombstone counts as well: somebody has deleted it.
  if ((await storage.get('latest-notes')) !== undefined) return
  try {
    await storage.upsert(
      {
        name: 'latest-notes',
        description: 'Shows the newest notes at the top of the start page.',
        enabled: false,
        // Once it is on, everybody has it; with a smaller number, that share of the visitors.
        enabled_for_percentage_of_actors: { actor_key: 'visitor_id', percentage: 100 },
      },
      { expectedVersion: 0, author: 'the example' },
    )
  } catch (error) {
    // Another process was quicker.
    if (!(error instanceof errors.SQLA_ERR_FLAG_CONFLICT)) throw error
  }
}
