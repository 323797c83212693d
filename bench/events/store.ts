import { defineConfig } from '@mikro-orm/postgresql'
import Fastify, { type FastifyInstance } from 'fastify'
import sqlAssist, { type Db, type SqlEm } from 'fastify-sqlassist'
import { Aggregate, Application, type Ordering } from 'fastify-sqlassist/events'

const appliers = {
  Registered: (dog: Dog, { name, breed }: { name: string; breed: string }) => {
    dog.name = name
    dog.breed = breed
  },
  TrickAdded: (dog: Dog, { trick }: { trick: string }) => {
    dog.tricks.push(trick)
  },
}

/** What events happen to. */
export class Dog extends Aggregate<typeof appliers> {
  static override readonly appliers = appliers
  name = ''
  breed = ''
  tricks: string[] = []

  static register(): Dog {
    return Dog.create('Registered', { name: 'Fido', breed: 'Australian Cattle Dog' })
  }

  addTrick(trick: string): void {
    this.trigger('TrickAdded', { trick })
  }
}

/** An application in this process, with logs on one engine. */
export interface Store extends AsyncDisposable {
  readonly app: FastifyInstance
  readonly session: (db: Db) => SqlEm
  /** A log of its own tables, which are created. */
  log(
    name: string,
    ordering?: Ordering,
    options?: { cache?: { max: number } },
  ): Promise<Application<typeof Dog>>
}

/** Enough for 16 clients, and for what follows and wakes. */
const CONNECTIONS = 24

export async function openStore(url: string): Promise<Store> {
  const app = Fastify()
  const orm = defineConfig({
    clientUrl: url,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    // They stay: the CPU of a process that has ended is nobody's.
    pool: { min: 0, max: CONNECTIONS, idleTimeoutMillis: 3_600_000 },
  })
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  await app.ready()
  const logs: Application<typeof Dog>[] = []
  return {
    app,
    session: db => db.get('writer'),
    async log(name, ordering = 'watermark', options = {}) {
      const on = app.sqlAssist.engines.get('writer')
      const log = new Application({ on, aggregates: [Dog], name, ordering, ...options })
      await log.createTables()
      logs.push(log)
      return log
    },
    async [Symbol.asyncDispose]() {
      for (const log of logs) await log.close()
      await app.close()
    },
  }
}
