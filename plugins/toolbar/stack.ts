import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where a statement is sent, the frames of MikroORM and Kysely are above the application's. */
const FRAMES = 40

/** Where this package's code is: in the sources, in `dist`, in `node_modules`. */
const OWN = ['../../src/', '../../plugins/'].map(folder => fileURLToPath(new URL(folder, import.meta.url)))

/** Frame → where it is; false for what is not the application's. The same few lines send most statements. */
const places = new Map<string, string | false>()
const MOST_PLACES = 5_000

/** V8 makes the text when it is first read. */
export interface Stack {
  readonly stack?: unknown
}

/**
 * @param above what is not on it
 * @param frames how many it has at most: each costs
 */
export function captureStack(above: (...args: never) => unknown, frames: number = FRAMES): Stack {
  const { stackTraceLimit } = Error
  const holder: Stack = {}
  Error.stackTraceLimit = frames
  Error.captureStackTrace(holder, above)
  Error.stackTraceLimit = stackTraceLimit
  return holder
}

/** The application's frame that is nearest to the top: `routes/notes.ts:12:30`; undefined when there is none. */
export function placeOf({ stack }: Stack): string | undefined {
  // An application may have its own Error.prepareStackTrace.
  if (typeof stack !== 'string') return undefined
  for (const line of stack.split('\n')) {
    let place = places.get(line)
    if (place === undefined) {
      if (places.size >= MOST_PLACES) places.clear()
      place = placeOfFrame(line) ?? false
      places.set(line, place)
    }
    if (place !== false) return place
  }
  return undefined
}

/** `at async handler (file:///app/routes/notes.ts:12:30)`, with or without the name and the scheme. */
const FRAME = /^\s*at (?:.*\()?((?:file:\/\/|\/|[A-Za-z]:[\\/]).*):(\d+):(\d+)\)?$/

function placeOfFrame(frame: string): string | undefined {
  const [, location, line, column] = FRAME.exec(frame) ?? []
  if (location === undefined) return undefined
  const file = location.startsWith('file://') ? fileURLToPath(location) : location
  if (/[\\/]node_modules[\\/]/.test(file) || OWN.some(folder => file.startsWith(folder))) return undefined
  return `${relative(process.cwd(), file)}:${line}:${column}`
}
