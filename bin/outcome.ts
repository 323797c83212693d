import { redact } from '../src/index.ts'

// How a command ends: 0 when it did what it was told, 1 when it did not, or found what it was to look for.

let exitCode = 0

export function exitCodeOf(): number {
  return exitCode
}

/** The command did its work, and the answer is no. */
export function answerNo(): void {
  exitCode = 1
}

/** Prints an error: of those with a code what they say, of any other where it came from too. */
export function report(error: unknown): void {
  exitCode = 1
  const { code, message, stack } = error as { code?: unknown; message?: unknown; stack?: unknown }
  const isCoded = typeof code === 'string' && code.startsWith('SQLA_ERR_')
  const text = isCoded ? `${message} (${code})` : String(stack ?? error)
  process.stderr.write(`${redact(text)}\n`)
}
