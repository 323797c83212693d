import { once } from 'node:events'
import { createServer } from 'node:net'

// Below the range that Linux, macOS and Windows take client ports from: a server that is down for a while must
// find its port free again, whatever connections are made meanwhile.
const FIRST = 15_000
const LAST = 32_000

const given = new Set<number>()

/** A port of 127.0.0.1 that nobody listens on, and that this process has not given away before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    if (given.size > (LAST - FIRST) / 2) given.clear()
    return port
  }
}

/** Whether a server could listen on this port of 127.0.0.1 now. */
export async function isFree(port: number): Promise<boolean> {
  const probe = createServer()
  try {
    probe.listen(port, '127.0.0.1')
    await once(probe, 'listening')
    probe.close()
    await once(probe, 'close')
    return true
  } catch {
    return false
  }
}
