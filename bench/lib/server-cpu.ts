import { readdirSync, readFileSync } from 'node:fs'
import { query } from './database.ts'

/** Microseconds of CPU that all processes of a database server have had so far; undefined where that cannot be read. */
export type ServerCpu = () => number | undefined

const NANOSECONDS = 1000

/**
 * The CPU of a PostgreSQL server on this machine, from Linux's /proc: of its backends, not only of ours, as others work for
 * us as well (the writer of the log, for one). What has ended in the meantime is not in it, so connections must stay open.
 */
export async function serverCpu(url: string): Promise<ServerCpu> {
  const [row] = await query(url, ['select current_setting($$data_directory$$) as data'])
  const postmaster = postmasterOf(String(row?.data))
  if (postmaster === undefined) return () => undefined
  return () => {
    const processes = childrenOf(postmaster).map(cpuOf)
    return processes.reduce((sum, cpu) => sum + cpu, 0) / NANOSECONDS
  }
}

/** The first line of the file is its process. */
function postmasterOf(data: string): string | undefined {
  try {
    const [pid] = readFileSync(`${data}/postmaster.pid`, 'latin1').split('\n')
    readFileSync(`/proc/${pid}/schedstat`)
    return pid
  } catch {
    return undefined
  }
}

function childrenOf(parent: string): string[] {
  return readdirSync('/proc').filter(pid => /^\d+$/.test(pid) && parentOf(pid) === parent)
}

/** The fields behind the name, which may have blanks and parentheses in it, are: state, parent … */
function parentOf(pid: string): string | undefined {
  const stat = readProc(pid, 'stat')
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
}

/** Nanoseconds. */
function cpuOf(pid: string): number {
  return Number(readProc(pid, 'schedstat')?.split(' ')[0] ?? 0)
}

/** @returns undefined when the process has just ended */
function readProc(pid: string, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return undefined
  }
}
