import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineEntity, p } from '@mikro-orm/core'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { Aggregate } from '../../plugins/events/aggregate.ts'
import {
  Application,
  type ApplicationLog,
  type ApplicationOptions,
} from '../../plugins/events/application.ts'
import { Projection, type ProjectionOptions } from '../../plugins/events/projection.ts'
import { ProjectionRunner, type ProjectionRunnerOptions } from '../../plugins/events/projection-runner.ts'
import type { Runner } from '../../plugins/events/runner.ts'
import sqlAssist, { type Engine } from '../../src/index.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'

// An application whose events are followed, and a view of them that counts.

const appliers = {
  Opened: (account: Account, { owner }: { owner: string }) => {
    account.owner = owner
  },
  Deposited: (account: Account, { amount }: { amount: number }) => {
    account.balance += amount
  },
}

export class Account extends Aggregate<typeof appliers> {
  static override readonly appliers = appliers
  owner = ''
  balance = 0

  static open(owner: string, id: string = randomUUID()): Account {
    return Account.create('Opened', { owner }, { id })
  }

  deposit(amount: number): this {
    this.trigger('Deposited', { amount })
    return this
  }
}

export class Bank extends Application<typeof Account> {
  /** One account with so many events. */
  async busy(events: number): Promise<Account> {
    const account = Account.open('busy')
    for (let one = 1; one < events; one++) account.deposit(1)
    await this.save(account)
    return account
  }
}

/** How much was deposited, by the owner's name. */
export const Tally = defineEntity({
  name: 'Tally',
  tableName: 'tally',
  properties: { owner: p.string().primary(), sum: p.integer() },
})

export interface FollowedApp {
  readonly app: FastifyInstance
  readonly engine: Engine
  readonly bank: Bank
  readonly backend: TestBackend
  /** What was logged. */
  readonly lines: { level: string; message: string; err: unknown }[]
  sql(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  /** A runner of a new projection that counts events in a table of its own; stopped at the end of `t`. */
  counting(t: Test, options?: Partial<CountingOptions>): Promise<Counting>
  /** How many events there are. */
  total(): Promise<number>
}

export interface CountingOptions extends Omit<ProjectionOptions, 'name'> {
  name: string
  runner: Partial<ProjectionRunnerOptions>
}

export interface Counting {
  readonly runner: ProjectionRunner
  readonly projection: Projection
  /** Another runner of the same projection. */
  another(options?: Partial<ProjectionRunnerOptions>): ProjectionRunner
  /** How many events are in the view, and the sum of their places. */
  count(): Promise<number>
}

let made = 0

/** @param options of the engine */
export async function followedApp(
  t: Test,
  backend: TestBackend,
  options: Partial<ApplicationOptions<typeof Account>> = {},
): Promise<FollowedApp> {
  const app = Fastify()
  const orm = backend.options({
    entities: [Tally],
    logger: () => {},
  }) as never
  await app.register(sqlAssist, { engines: { writer: { orm } } })
  await app.ready()
  const engine = app.sqlAssist.engines.get('writer' as never)
  const lines: FollowedApp['lines'] = []
  const line = (level: string) => (fields: { err?: unknown }, message: string) => {
    lines.push({ level, message, err: fields.err })
  }
  const log: ApplicationLog = { info: line('info'), warn: line('warn'), error: line('error') }
  const bank = new Bank({ on: engine, aggregates: [Account], name: `bank${++made}`, log, ...options })
  await bank.createTables()
  t.teardown(async () => {
    await bank.close()
    await app.close()
  })
  const sql: FollowedApp['sql'] = (text, values = []) => engine.orm.em.fork().execute(text, values)
  return {
    app,
    engine,
    bank,
    backend,
    lines,
    sql,
    async total() {
      return (await bank.recorder.selectNotifications({ limit: 1_000_000 })).length
    },
    async counting(t, { runner: more = {}, name = `counting${++made}`, ...given } = {}) {
      const view = more.on ?? engine
      const table = `${name}_view`
      const run = (text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> =>
        view.orm.em.fork().execute(text, values)
      const projection = new Projection({
        name,
        create: async em => {
          const [missing, ignore] = view.dialect === 'mysql' ? ['if not exists', 'ignore'] : ['', '']
          await em.execute(`create table ${missing} ${table} (id int primary key, counted int not null)`)
          await em.execute(`insert ${ignore} into ${table} values (1, 0)`)
        },
        drop: em => em.execute(`drop table if exists ${table}`),
        handle: (_event, em) => em.execute(`update ${table} set counted = counted + 1 where id = 1`),
        ...given,
      })
      const runners: Runner[] = []
      t.teardown(() => Promise.all(runners.map(one => one.stop())))
      const another = (other: Partial<ProjectionRunnerOptions> = {}): ProjectionRunner => {
        const runner = new ProjectionRunner({ application: bank, projection, ...more, ...other })
        runners.push(runner)
        return runner
      }
      return {
        projection,
        runner: another(),
        another,
        count: async () => Number((await run(`select counted from ${table} where id = 1`))[0]?.counted),
      }
    },
  }
}

/** On every database, with one application each. */
export async function onEveryBank(
  t: Test,
  suite: (t: Test, followed: FollowedApp) => void | Promise<void>,
  options: Partial<ApplicationOptions<typeof Account>> = {},
): Promise<void> {
  await onEveryBackend(t, async (t, backend) => suite(t, await followedApp(t, backend, options)))
}

/** Waits until something holds; says what did not. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  patience = 10_000,
): Promise<void> {
  const deadline = performance.now() + patience
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${patience} ms: ${what}`)
    await sleep(10)
  }
}
