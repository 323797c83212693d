// Runs tap with what V8 has compiled kept for the next process: the tests start hundreds, and each loads the same modules.
// (https://nodejs.org/api/module.html#module-compile-cache)
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/compile', import.meta.url))
const tap = spawn('tap', process.argv.slice(2), { stdio: 'inherit', shell: process.platform === 'win32' })
tap.on('exit', (code, signal) => {
  process.exitCode = signal === null ? (code ?? 1) : 1
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => tap.kill(signal))
