import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

/** Runs statements on a connection of its own and answers with the rows of the last one. */
export async function query(url: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) rows = (await client.query(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}

/** Asks again until the answer is yes. @returns whether it was within `ms` */
export async function eventually(check: () => boolean | Promise<boolean>, ms = 10_000): Promise<boolean> {
  const deadline = performance.now() + ms
  while (!(await check())) {
    if (performance.now() > deadline) return false
    await sleep(10)
  }
  return true
}
