import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Estate } from './watchdog.ts'

/**
 * The application's end of the watchdog: a list of processes and directories that must not outlive this process.
 * It holds neither the event loop nor a signal handler.
 */
export class Guard {
  readonly #pids = new Set<number>()
  readonly #directories = new Set<string>()
  readonly #watchdog: ChildProcess
  #released = false

  constructor() {
    const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
    const program = fileURLToPath(new URL(`./watchdog${extension}`, import.meta.url))
    const { NODE_OPTIONS, NODE_V8_COVERAGE, ...env } = process.env
    // Detached: Ctrl-C goes to the whole foreground process group
    this.#watchdog = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      windowsHide: true,
      cwd: process.platform === 'win32' ? undefined : '/',
      env,
    })
    this.#watchdog.on('error', () => {})
    this.#watchdog.unref()
    const pipe = this.#watchdog.stdin
    pipe?.on('error', () => {})
    if (pipe && 'unref' in pipe) (pipe as unknown as { unref(): void }).unref()
  }

  /** The process must not outlive this one. */
  watch(pid: number): void {
    this.#pids.add(pid)
    this.#tell()
  }

  /** The process has ended. */
  unwatch(pid: number): void {
    if (this.#pids.delete(pid)) this.#tell()
  }

  /** The directory must not outlive this process. */
  watchDirectory(directory: string): void {
    this.#directories.add(directory)
    this.#tell()
  }

  /** Everything has been ended and removed: sends the watchdog home and waits until it has gone. */
  async release(): Promise<void> {
    this.#pids.clear()
    this.#directories.clear()
    this.#tell()
    this.#released = true
    const { exitCode, signalCode, pid } = this.#watchdog
    if (pid === undefined || exitCode !== null || signalCode !== null) return
    this.#watchdog.ref()
    const exit = once(this.#watchdog, 'exit')
    this.#watchdog.stdin?.end()
    await exit
    this.#watchdog.removeAllListeners()
  }

  #tell(): void {
    if (this.#released) return
    const estate: Estate = { pids: [...this.#pids], directories: [...this.#directories] }
    this.#watchdog.stdin?.write(`${JSON.stringify(estate)}\n`)
  }
}
