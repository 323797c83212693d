import { createRequire } from 'node:module'
import { cpus, totalmem } from 'node:os'

/** What the numbers depend on besides us. */
export function describeRun(postgresql: string): string {
  const [cpu] = cpus()
  return [
    `${new Date().toISOString().slice(0, 10)}`,
    `Node ${process.versions.node}`,
    ...['fastify', '@mikro-orm/core', 'pg'].map(name => `${name} ${versionOf(name)}`),
    `PostgreSQL ${postgresql}`,
    `${cpus().length} × ${cpu?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
  ].join(' · ')
}

function versionOf(name: string): string {
  const require = createRequire(import.meta.url)
  return (require(`${name}/package.json`) as { version: string }).version
}
