import { rmSync } from 'node:fs'
import { quitTree } from './processes.ts'

// The program that outlives the application by a moment. Its standard input is a pipe that only the application
// holds: whichever way that process ends, SIGKILL included, the pipe closes, and what is then still on the list
// is ended and removed. Each line replaces the list.

/** What has to go when the application has gone. */
export interface Estate {
  readonly pids: readonly number[]
  readonly directories: readonly string[]
}

let text = ''
process.stdin.setEncoding('utf8')
process.stdin.on('data', (chunk: string) => {
  text += chunk
  const end = text.lastIndexOf('\n')
  const start = text.lastIndexOf('\n', end - 1)
  if (start > 0) text = text.slice(start + 1)
})
process.stdin.on('end', settle)
process.stdin.on('error', settle)
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {})

async function settle(): Promise<void> {
  const line = text.slice(0, text.indexOf('\n') + 1)
  if (line !== '') {
    const estate = JSON.parse(line) as Estate
    await Promise.all(estate.pids.map(quitTree))
    for (const directory of estate.directories) {
      rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
    }
  }
  process.exit()
}
