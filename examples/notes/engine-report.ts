import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Db, EngineName, PoolFigures, SessionStatus } from 'fastify-sqlassist'

/** What the page of the notes shows of an engine. */
export interface EngineReport {
  readonly name: EngineName
  readonly kind: 'read-only' | 'transactional' | 'autocommit'
  /** `127.0.0.1:5432` */
  readonly server: string
  readonly isStandby: boolean
  /** What became of it in this request. */
  readonly status: SessionStatus
  readonly pool: PoolFigures
}

const NAMES = ['reader', 'writer', 'logger'] as const

export async function reportEngines(
  app: FastifyInstance,
  request: FastifyRequest,
  urls: Record<EngineName, string>,
): Promise<EngineReport[]> {
  // Before the question below; and that has sessions of its own, so that it does not show up in this request's.
  const status = request.db.status
  const standbys = await app.sqlAssist.run(db => Promise.all(NAMES.map(name => isStandby(db, name))))
  return NAMES.map((name, index) => {
    const { readOnly, autocommit, figures } = app.sqlAssist.engines.get(name)
    return {
      name,
      kind: readOnly ? 'read-only' : autocommit ? 'autocommit' : 'transactional',
      server: new URL(urls[name]).host,
      isStandby: standbys[index] ?? false,
      status: status[name],
      pool: figures,
    }
  })
}

async function isStandby(db: Db, name: EngineName): Promise<boolean> {
  const [row] = await db.get(name).execute<{ standby: boolean }[]>('select pg_is_in_recovery() as standby')
  return row?.standby ?? false
}
