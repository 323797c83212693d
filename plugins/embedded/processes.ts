import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

// A PostgreSQL server is a postmaster with a child per connection, each in a session of its own: a signal to
// the process group reaches none of them. This file imports nothing of ours, because the watchdog loads it.

/** Whether the process still runs. A zombie has ended: under a PID 1 that reaps nobody it stays for ever. */
export function isAlive(pid: number): boolean {
  const line = statLine(pid)
  if (line !== undefined) return !'ZX'.includes(line.state)
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The processes below this one, at any depth. */
export function descendants(pid: number): number[] {
  const parents = parentTable()
  const found = [pid]
  for (const ancestor of found) {
    for (const [child, parent] of parents) if (parent === ancestor) found.push(child)
  }
  return found.slice(1)
}

/** SIGSTOP for the postmaster first, which then forks no more, and for every process below it. */
export function freezeTree(pid: number): void {
  signal(pid, 'SIGSTOP')
  for (const child of descendants(pid)) signal(child, 'SIGSTOP')
  // A fork that was under way when the first signal arrived
  for (const child of descendants(pid)) signal(child, 'SIGSTOP')
}

/** Undoes {@link freezeTree}. */
export function thawTree(pid: number): void {
  for (const child of descendants(pid)) signal(child, 'SIGCONT')
  signal(pid, 'SIGCONT')
}

/** SIGKILL for a process and everything below it; resolves when they are gone. */
export async function killTree(pid: number): Promise<void> {
  if (process.platform === 'win32') {
    try {
      execFileSync('taskkill', ['/PID', String(pid), '/T', '/F'], { stdio: 'ignore', windowsHide: true })
    } catch {
      // It had ended already
    }
    await ended([pid], 10_000)
    return
  }
  freezeTree(pid)
  const pids = [...descendants(pid), pid]
  for (const each of pids) signal(each, 'SIGKILL')
  await ended(pids, 10_000)
}

/** Ends a server at once without leaving its shared memory behind, which SIGKILL would; then whatever resists. */
export async function quitTree(pid: number): Promise<void> {
  if (process.platform !== 'win32' && isAlive(pid)) {
    const pids = [pid, ...descendants(pid)]
    thawTree(pid)
    signal(pid, 'SIGQUIT')
    if (await ended(pids, 3_000)) return
  }
  await killTree(pid)
}

/** Waits until none of the processes runs. @returns false when one still did after `ms` milliseconds */
export async function ended(pids: readonly number[], ms: number): Promise<boolean> {
  const deadline = performance.now() + ms
  while (pids.some(isAlive)) {
    if (performance.now() > deadline) return false
    await sleep(5)
  }
  return true
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended in the meantime
  }
}

function parentTable(): Map<number, number> {
  if (process.platform === 'win32') return new Map()
  if (process.platform === 'linux') {
    const table = new Map<number, number>()
    for (const entry of readdirSync('/proc')) {
      const line = /^\d+$/.test(entry) ? statLine(Number(entry)) : undefined
      if (line !== undefined) table.set(Number(entry), line.parent)
    }
    return table
  }
  const listing = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
  return new Map(
    listing.split('\n').flatMap(line => {
      const [pid, parent] = line.trim().split(/\s+/).map(Number)
      return pid && parent !== undefined ? [[pid, parent] as const] : []
    }),
  )
}

/** State and parent from `/proc/<pid>/stat`, whose second field may contain spaces and parentheses. */
function statLine(pid: number): { state: string; parent: number } | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const [state = '', parent] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state, parent: Number(parent) }
  } catch {
    return undefined
  }
}
