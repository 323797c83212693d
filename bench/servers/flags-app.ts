// The application of the servers that differ in how many flags a request asks for.
import Fastify from 'fastify'
import { flags, MemoryFlagStorage } from 'fastify-sqlassist/flags'
import { helloSchema } from './note.ts'
import { serve } from './serve.ts'

/** Half of them are for a share of the actors. */
const NAMES = Array.from({ length: 10 }, (_, at) => `flag ${at}`)

/** Runs it until the bench says stop. */
export async function serveFlags({ asked }: { readonly asked: number }): Promise<void> {
  const storage = new MemoryFlagStorage()
  for (const [at, name] of NAMES.entries()) {
    const share = at % 2 === 0 ? null : { actor_key: 'user', percentage: 50 }
    await storage.upsert({ name, enabled: true, enabled_for_percentage_of_actors: share })
  }
  const app = Fastify({ keepAliveTimeout: 600_000 })
  await app.register(flags, { storage, entries: request => ({ user: request.ip }) })
  const names = NAMES.slice(0, asked)
  app.get('/hello', { schema: helloSchema }, async request => {
    let on = 0
    for (const name of names) if (request.flags.isEnabled(name)) on++
    return { hello: on === 0 ? 'nobody' : 'somebody' }
  })
  await serve(app)
}
