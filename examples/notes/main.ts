import type { FastifyInstance } from 'fastify'
import { buildApp, type Urls } from './app.ts'
import type { Cluster } from './control-room/cluster.ts'
import { checkPassword, makePassword } from './password.ts'

// The process around the app: which servers, which port, and a clean end. `npm start` runs it.

interface Servers {
  readonly urls: Urls
  /** Ours, and so to be disturbed. */
  readonly cluster?: Cluster
  stop(): Promise<void>
}

/** Real servers when the environment names them, else a PostgreSQL primary and two standbys that live as long as we. */
async function findServers(env: NodeJS.ProcessEnv): Promise<Servers> {
  const { WRITER_URL: writer, READER_URL: reader, LOGGER_URL: logger } = env
  // Several standbys are separated by spaces; a comma belongs to a URL.
  if (writer && reader && logger) {
    return { urls: { writer, reader: reader.trim().split(/\s+/), logger }, stop: async () => {} }
  }
  if (writer || reader || logger) {
    const missing = ['WRITER_URL', 'READER_URL', 'LOGGER_URL'].filter(name => !env[name])
    throw new Error(`${missing.join(' and ')} missing: set all three URLs, or none for an embedded cluster`)
  }
  // Imported only here: with real servers it need not be installed.
  const { startCluster } = await import('fastify-sqlassist/embedded')
  const cluster = await startCluster({ replicas: 2 })
  return {
    urls: {
      writer: cluster.url('writer'),
      reader: cluster.replicas.map(standby => cluster.url('reader', standby)),
      logger: cluster.url('logger'),
    },
    cluster,
    stop: () => cluster.stop(),
  }
}

/** On PORT; without it on 3000, or on any free port where that is taken. Answers with the address. */
function listen(app: FastifyInstance, env: NodeJS.ProcessEnv): Promise<string> {
  const host = env.HOST ?? '127.0.0.1'
  if (env.PORT) return app.listen({ host, port: Number(env.PORT) })
  return app.listen({ host, port: 3000 }).catch(error => {
    if (error.code !== 'EADDRINUSE') throw error
    return app.listen({ host, port: 0 })
  })
}

const cleanups: (() => Promise<void>)[] = []

/** Last in, first out: the app finishes its requests while its servers are still there. */
async function stop(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
}

try {
  const { ADMIN_PASSWORD: chosen } = process.env
  const adminPassword = chosen ? checkPassword(chosen) : makePassword()
  const servers = await findServers(process.env)
  cleanups.push(servers.stop)
  const app = await buildApp(servers.urls, {
    logger: { level: process.env.LOG_LEVEL ?? 'warn' },
    adminPassword,
    cluster: servers.cluster,
    debugging: process.env.NODE_ENV !== 'production',
  })
  cleanups.push(() => app.close())
  const address = await listen(app, process.env)
  // `once`: a second Ctrl-C ends the process at once.
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  // For this terminal only: neither the log nor a page has it.
  if (!chosen) console.log(`password for ${address}/admin/flags: ${adminPassword}`)
  console.log(`ready: ${address}`)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
  await stop()
}
