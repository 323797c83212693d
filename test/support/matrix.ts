import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify'
import t, { type Test } from 'tap'
import type { CommitMode, Db, RouteOptions, SqlAssistOptions } from '../../src/index.ts'
import {
  type Answer,
  type AppOptions,
  createTables,
  NOTHING,
  outcomeOf,
  type TestApp,
  testApp,
  writeTwo,
} from './app.ts'
import { type TestDatabase, testDatabase } from './cluster.ts'

// Every way in which a request can end, in every commit mode and every place where the mode can be set.

/** What one run of an ending knows. */
export interface Run {
  readonly tag: string
  readonly mode: CommitMode
  readonly test: TestApp
  readonly database: TestDatabase
  readonly path: string
  /** Resolved by the handler when it has come to the interesting point. */
  readonly reached: PromiseWithResolvers<void>
  /** Resolved by the client when the handler may go on. */
  readonly go: PromiseWithResolvers<void>
  /** Resolved by the handler with what it found out after its response. */
  readonly after: PromiseWithResolvers<unknown>
  /** The container of the request, kept beyond its end. */
  db: Db | undefined
  /** Uses all engines; two notes will be there when the writer is committed, none when it is not. */
  write(request: FastifyRequest, last?: string): Promise<void>
}

/** What a client has to say: the whole answer, or its status. */
export type Seen = Answer | number | undefined | 'no answer'

/** One way for a request to end. */
export interface Ending {
  readonly name: string
  /** Default POST. */
  readonly method?: string
  /** Whether the rule saves its notes in the mode, by class of status: `never` whatever the mode is. */
  readonly saves: 'success' | 'redirect' | 'never' | 'always' | ((mode: CommitMode) => boolean)
  /** What the client sees; undefined: no status. */
  readonly status: number | undefined | ((mode: CommitMode) => number | undefined)
  readonly route?: RouteShorthandOptions & { exposeHeadRoute?: boolean }
  /** `config.db` of the route. */
  readonly db?: Pick<RouteOptions, 'onAbort'>
  handler(run: Run, request: FastifyRequest, reply: FastifyReply): unknown
  /** Registers what the handler needs besides its route, in a context of its own. */
  around?(app: FastifyInstance, run: () => Run): void
  /** Default: asks, and answers with what came back. */
  client?(run: Run): Promise<Seen>
  /** Further claims. */
  verify?(run: Run, t: Test, answer: Seen): unknown
  /** Where the route is registered. Default: after the plugin, in a context of its own. */
  readonly where?: 'before the plugin' | 'root'
  /** Lines of the logger engine that are to be there. Default 1. */
  readonly audits?: number
  /** Default true: whether the request touches its container. */
  readonly touches?: boolean
}

interface Place {
  readonly name: string
  readonly mode: CommitMode
  readonly plugin?: CommitMode
  readonly engine?: CommitMode
  readonly route?: CommitMode
}

const PLACES: readonly Place[] = [
  { name: 'manual, by default', mode: 'manual' },
  { name: 'autocommit', mode: 'autocommit', plugin: 'autocommit' },
  {
    name: 'autocommit_include_redirect',
    mode: 'autocommit_include_redirect',
    plugin: 'autocommit_include_redirect',
  },
  { name: 'autocommit by the engine', mode: 'autocommit', engine: 'autocommit' },
  { name: 'manual by the engine', mode: 'manual', plugin: 'autocommit', engine: 'manual' },
  {
    name: 'autocommit_include_redirect by the route',
    mode: 'autocommit_include_redirect',
    plugin: 'manual',
    engine: 'manual',
    route: 'autocommit_include_redirect',
  },
]

/** The three modes, set on the plugin: enough for endings that take their time. */
export const MODES = PLACES.slice(0, 3)

function saves(ending: Ending, mode: CommitMode): boolean {
  if (typeof ending.saves === 'function') return ending.saves(mode)
  if (ending.saves === 'always' || ending.saves === 'never') return ending.saves === 'always'
  return mode === 'autocommit_include_redirect' || (mode === 'autocommit' && ending.saves === 'success')
}

export interface MatrixOptions extends Omit<AppOptions, 'routes' | 'before' | 'plugin'> {
  readonly plugin?: Partial<Omit<SqlAssistOptions, 'engines' | 'commitMode'>>
  readonly places?: readonly Place[]
  /** Registered on the root, after the plugin and before the routes. */
  root?(app: FastifyInstance, find: (path: string) => { ending: Ending; run: Run }): void
}

/** Runs every ending in every place, on one application a place. */
export function endings(title: string, table: readonly Ending[], options: MatrixOptions = {}): void {
  t.test(title, async t => {
    const database = await sharedDatabase()
    for (const place of options.places ?? PLACES) {
      await t.test(place.name, t => runPlace(t, database, table, options, place))
    }
  })
}

let shared: Promise<TestDatabase> | undefined
let runCount = 0

/** One database for all tables of a file. */
function sharedDatabase(): Promise<TestDatabase> {
  shared ??= testDatabase(t).then(async database => {
    await createTables(database)
    return database
  })
  return shared
}

/** A client that is kept waiting is a wrong answer, not a test that never ends. */
async function inTime<T>(answer: Promise<T>): Promise<T | 'no answer'> {
  const timer = new AbortController()
  const late = sleep(8_000, 'no answer' as const, { signal: timer.signal, ref: false }).catch(() => undefined)
  try {
    return (await Promise.race([answer, late])) as T | 'no answer'
  } finally {
    timer.abort()
  }
}

async function runPlace(
  t: Test,
  database: TestDatabase,
  table: readonly Ending[],
  options: MatrixOptions,
  place: Place,
): Promise<void> {
  const runs = new Map<Ending, Run>()
  const path = (ending: Ending) => `/${table.indexOf(ending)}`
  const add = (app: FastifyInstance, ending: Ending): void => {
    const run = () => runs.get(ending) as Run
    const register = (scope: FastifyInstance): void => {
      ending.around?.(scope, run)
      scope.route({
        ...ending.route,
        method: ending.method ?? 'POST',
        url: path(ending),
        config: { db: { ...ending.db, ...(place.route && { commitMode: place.route }) } },
        handler: (request, reply) => ending.handler(run(), request, reply),
      })
    }
    if (ending.where === undefined) app.register(async scope => register(scope))
    else register(app)
  }
  const test = await testApp(t, database, {
    ...options,
    plugin: { ...options.plugin, ...(place.plugin && { commitMode: place.plugin }) },
    engines: {
      ...options.engines,
      writer: { ...options.engines?.writer, ...(place.engine && { commitMode: place.engine }) },
    },
    before: app => {
      for (const ending of table) if (ending.where === 'before the plugin') add(app, ending)
    },
    routes: app => {
      options.root?.(app, path => {
        const ending = table[Number(path.slice(1))] as Ending
        return { ending, run: runs.get(ending) as Run }
      })
      for (const ending of table) if (ending.where !== 'before the plugin') add(app, ending)
    },
  })

  // Connecting takes its time, and some endings depend on time.
  await test.app.sqlAssist.run(db => writeTwo(db, 'warm up'), { commitMode: 'manual' })
  for (const ending of table) {
    const tag = `run ${++runCount}`
    const run: Run = {
      tag,
      mode: place.mode,
      test,
      database,
      path: path(ending),
      reached: Promise.withResolvers(),
      go: Promise.withResolvers(),
      after: Promise.withResolvers(),
      db: undefined,
      async write(request, last) {
        run.db = request.db
        await writeTwo(request.db, tag, last)
      },
    }
    runs.set(ending, run)
    const { method = 'POST' } = ending
    const answer = await inTime(
      ending.client?.(run) ?? test.ask(method, run.path, method === 'POST' ? { body: {} } : {}),
    )
    const { notes, audits, left } = await outcomeOf(test, database, tag)
    const status = typeof answer === 'object' ? answer.status : answer
    const expectedStatus = typeof ending.status === 'function' ? ending.status(place.mode) : ending.status
    t.same(
      {
        status,
        notes,
        audits,
        sessions: run.db?.status,
        left,
      },
      {
        status: expectedStatus,
        notes: saves(ending, place.mode) ? 2 : 0,
        audits: ending.audits ?? 1,
        sessions: ending.touches === false ? undefined : { writer: 'END', reader: 'END', logger: 'END' },
        left: NOTHING,
      },
      ending.name,
    )
    if (ending.verify !== undefined) {
      const verified = await inTime(Promise.resolve(ending.verify(run, t, answer)))
      if (verified === 'no answer') t.fail(`${ending.name}: its handler never came to its end`)
    }
  }
}
