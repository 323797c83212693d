import type { FastifyInstance } from 'fastify'
import { buildApp } from './app.ts'

/** What `sqlassist database … --app database-app.ts` loads: the app on the servers that the environment names. */
export default function databaseApp(): Promise<FastifyInstance> {
  const { WRITER_URL, READER_URL = WRITER_URL, LOGGER_URL = WRITER_URL } = process.env
  if (!WRITER_URL || !READER_URL || !LOGGER_URL) throw new Error('WRITER_URL missing: which database?')
  return buildApp({ writer: WRITER_URL, reader: READER_URL, logger: LOGGER_URL })
}
