import { AsyncLocalStorage } from 'node:async_hooks'
import type { SessionMessage } from '../../src/index.ts'
import { captureStack, placeOf, type Stack } from './stack.ts'

// Which line of the application a statement comes from. When it is sent, that line is no longer on the stack, and V8's asynchronous
// stack traces end at the first `return promise`, of which MikroORM has many. So the stack is taken where the application calls its
// session, and goes along with what that starts.

type Session = SessionMessage['session']

/** Frames. Whoever calls a session is right above, or a library of theirs is between. */
const CALLERS = 6

/** What sends statements, now or later. */
const CALLS = [
  ...['find', 'findOne', 'findOneOrFail', 'findAll', 'findAndCount', 'findByCursor', 'count', 'countBy'],
  ...[
    'insert',
    'insertMany',
    'upsert',
    'upsertMany',
    'nativeUpdate',
    'nativeDelete',
    'execute',
    'callRoutine',
  ],
  ...[
    'populate',
    'refresh',
    'refreshOrFail',
    'lock',
    'flush',
    'begin',
    'commit',
    'rollback',
    'transactional',
  ],
]
const BUILDERS = ['createQueryBuilder', 'qb']
const BUILDER_CALLS = [
  'execute',
  'getResult',
  'getResultList',
  'getSingleResult',
  'getCount',
  'getResultAndCount',
]

/** A call of a session. */
class Call {
  readonly #stack: Stack
  readonly #outer: Call | undefined

  constructor(stack: Stack, outer: Call | undefined) {
    this.#stack = stack
    this.#outer = outer
  }

  /** Where the application made it; what MikroORM calls by itself was called for the application's call. */
  get place(): string | undefined {
    return placeOf(this.#stack) ?? this.#outer?.place
  }
}

const calls = new AsyncLocalStorage<Call>()

/**
 * The line of the application that has asked for what is done now: `routes/notes.ts:12:30`, relative to the working directory.
 *
 * @returns undefined where none is known: what the commit rule flushes, what went around the session
 */
export function currentCallSite(): string | undefined {
  const call = calls.getStore()
  return call === undefined ? placeOf(captureStack(currentCallSite)) : call.place
}

/** Notes from where a session, its forks and its query builders are called. They do what they did before. */
export function watchCalls(session: Session): void {
  watch(session, watchedSessions, prototype => {
    for (const name of CALLS) replace(prototype, name, method => noted(method))
    for (const name of BUILDERS) replace(prototype, name, method => andThen(method, watchBuilder))
    replace(prototype, 'fork', method => andThen(method, watchCalls as (made: object) => void))
  })
}

function watchBuilder(builder: object): void {
  watch(builder, watchedBuilders, prototype => {
    for (const name of BUILDER_CALLS) replace(prototype, name, method => noted(method))
  })
}

/** A class's prototype → one over it whose methods note their callers. */
type Watched = WeakMap<object, object>

const watchedSessions: Watched = new WeakMap()
const watchedBuilders: Watched = new WeakMap()

/**
 * Puts a prototype between an object and its class, made once for the class. (Methods on each object would cost more than all else
 * that is recorded: an object with so many properties of its own is a slow one.) What the application has put on the object stays.
 */
function watch(object: object, watched: Watched, make: (prototype: object) => void): void {
  const original = Object.getPrototypeOf(object) as object
  if (isWatching.has(original)) return
  let prototype = watched.get(original)
  if (prototype === undefined) {
    prototype = Object.create(original) as object
    make(prototype)
    watched.set(original, prototype)
    isWatching.add(prototype)
  }
  Object.setPrototypeOf(object, prototype)
}

const isWatching = new WeakSet<object>()

type Method = (this: object, ...args: unknown[]) => unknown

function replace(prototype: object, name: string, make: (method: Method) => Method): void {
  const method = (prototype as Record<string, unknown>)[name]
  if (typeof method !== 'function') return
  Object.defineProperty(prototype, name, {
    value: make(method as Method),
    writable: true,
    configurable: true,
    enumerable: false,
  })
}

function noted(method: Method): Method {
  return function watched(...args) {
    const call = new Call(captureStack(watched, CALLERS), calls.getStore())
    return calls.run(call, () => method.apply(this, args))
  }
}

function andThen(method: Method, watch: (made: object) => void): Method {
  return function watched(...args) {
    const made = method.apply(this, args)
    watch(made as object)
    return made
  }
}
