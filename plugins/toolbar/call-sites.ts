import { AsyncLocalStorage } from 'node:async_hooks'
import type { DiagnosticScope, SessionMessage } from '../../src/index.ts'
import { Marks } from './marks.ts'
import { captureStack, placeOf } from './stack.ts'

// Which line of the application a statement comes from. When it is sent, that line is no longer on the stack, and V8's asynchronous
// stack traces end at the first `return promise`, of which MikroORM has many. So the stack is taken where the application calls its
// session, and goes along with what that starts.

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
  ...['populate', 'refresh', 'refreshOrFail', 'lock', 'transactional'],
]
/** What the commit rule calls, too. */
const ENDS = ['flush', 'begin', 'commit', 'rollback']
const BUILDERS = ['createQueryBuilder', 'qb']
const BUILDER_CALLS = [
  'execute',
  'getResult',
  'getResultList',
  'getSingleResult',
  'getCount',
  'getResultAndCount',
]

/** Frames. Between a session and the application there may be a library. */
const CALLERS = 10

/** A call of a session, and where the application made it. */
interface Call {
  readonly place: string | undefined
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

/** The scopes of the sessions that are watched, and of their forks. */
const scopes = new Marks<object, DiagnosticScope>()

/**
 * Notes from where a session, its forks and its query builders are called. They do what they did before.
 *
 * Their class is changed, once, and not each of them: an object with methods or a prototype of its own is a slow one. The core makes
 * a class for the sessions of each MikroORM instance, so other EntityManagers are not concerned; sessions that nobody watches pass.
 */
export function watchCalls({ session, scope }: Pick<SessionMessage, 'session' | 'scope'>): void {
  scopes.set(session, scope)
  const prototype = Object.getPrototypeOf(session) as object
  if (isWatching.has(prototype)) return
  isWatching.add(prototype)
  for (const name of CALLS) replace(prototype, name, method => noted(method, () => false))
  for (const name of ENDS) replace(prototype, name, method => noted(method, scope => scope.isEnding))
  for (const name of BUILDERS) replace(prototype, name, method => made(method, watchBuilder))
  replace(prototype, 'fork', method => made(method, (fork, scope) => void scopes.set(fork, scope)))
}

/** Of the prototypes. */
const isWatching = new WeakSet<object>()
/** A class of query builders → a prototype over it: the class is everybody's. */
const builders = new WeakMap<object, object>()

function watchBuilder(builder: object, scope: DiagnosticScope): void {
  const original = Object.getPrototypeOf(builder) as object
  // A session's `qb` calls its `createQueryBuilder`.
  if (isWatching.has(original)) return
  let prototype = builders.get(original)
  if (prototype === undefined) {
    prototype = Object.create(original) as object
    for (const name of BUILDER_CALLS) replace(prototype, name, method => noted(method, () => false))
    builders.set(original, prototype)
    isWatching.add(prototype)
  }
  scopes.set(builder, scope)
  Object.setPrototypeOf(builder, prototype)
}

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

function noted(method: Method, isNobodys: (scope: DiagnosticScope) => boolean): Method {
  return function watched(...args) {
    const scope = scopes.get(this)
    if (scope === undefined) return method.apply(this, args)
    // What MikroORM calls by itself was called for the application's call.
    const place = isNobodys(scope) ? undefined : (placeOfCaller(watched) ?? calls.getStore()?.place)
    return calls.run({ place }, () => method.apply(this, args))
  }
}

/** Most are called by the application itself, and each frame costs. */
function placeOfCaller(called: Method): string | undefined {
  return placeOf(captureStack(called, 1)) ?? placeOf(captureStack(called, CALLERS))
}

/** For what makes something that sends statements. */
function made(method: Method, watch: (made: object, scope: DiagnosticScope) => void): Method {
  return function watched(...args) {
    const made = method.apply(this, args)
    const scope = scopes.get(this)
    if (scope !== undefined) watch(made as object, scope)
    return made
  }
}
