import { relative } from 'node:path'
import type {
  CheckResult,
  Direction,
  History,
  MigrationEvent,
  RevisionResult,
  RunResult,
  SeedResult,
  StampResult,
  TablesResult,
} from '../plugins/migrations/index.ts'

/** How often a revision that takes long is mentioned again, in milliseconds. */
const TICK = 2_000

/** What the commands of the group print. */
export class DatabaseReport {
  readonly #isData: boolean
  #tick: NodeJS.Timeout | undefined

  /** @param isData whether standard output is for SQL or rows only: what else is to say goes to standard error */
  constructor(isData: boolean) {
    this.#isData = isData
  }

  end(): void {
    clearInterval(this.#tick)
  }

  event(event: MigrationEvent): void {
    const { type, engine } = event
    if (type === 'skipped') this.#note(`${engine}  is read-only: skipped`)
    else if (type === 'waiting')
      this.#note(`${engine}  waiting for another process that migrates this engine`)
    else if (type === 'rows') this.#note(`${engine}  ${event.table}  ${event.rows} rows`)
    else if (type === 'started') this.#start(engine, event.revision, event.direction)
    else if (type === 'finished') {
      clearInterval(this.#tick)
      this.#note(`${engine}  ${event.direction}  ${event.revision}  ${Math.round(event.duration)} ms`)
    }
  }

  folders(results: readonly { engine: string; folder: string; isNew: boolean }[]): void {
    for (const { engine, folder, isNew } of results) {
      this.#line(`${engine}  ${near(folder)}  ${isNew ? 'made' : 'is there already'}`)
    }
  }

  revisions(results: readonly RevisionResult[], isEmpty: boolean): void {
    for (const { engine, file, up } of results) {
      if (file === undefined) this.#line(`${engine}  nothing to do: the entities have not changed`)
      else this.#line(`${engine}  ${near(file)}  ${isEmpty ? 'empty' : count(up.length, 'statement')}`)
    }
  }

  run(results: readonly RunResult[], direction: Direction): void {
    for (const { engine, revisions, sql } of results) {
      if (revisions.length === 0) this.#note(`${engine}  nothing to do`)
      else if (sql !== undefined) this.#sql(sql)
      else
        this.#line(
          `${engine}  ${count(revisions.length, 'revision')} ${direction === 'up' ? 'applied' : 'reverted'}`,
        )
    }
  }

  history(results: readonly History[]): void {
    for (const { engine, entries } of results) {
      this.#line(entries.length === 0 ? `${engine}  no revisions` : engine)
      for (const { revision, state, at } of entries) {
        const when = at === undefined ? '' : ` ${at.toISOString()}`
        this.#line(`  ${revision}  ${state === 'missing' ? 'applied' : state}${when}${fileNote(state)}`)
      }
    }
  }

  current(results: readonly History[]): void {
    for (const { engine, current } of results) this.#line(`${engine}  ${current ?? 'base'}`)
  }

  check(results: readonly CheckResult[]): void {
    for (const { engine, ok, changes, pending, missing, drift } of results) {
      if (ok) this.#line(`${engine}  entities, revisions and database agree`)
      this.#differences(engine, 'the entities have changed, and no revision brings it:', changes)
      this.#differences(engine, 'not applied to this database:', pending)
      this.#differences(engine, 'applied to this database, but there is no file:', missing)
      this.#differences(engine, 'the database is not what its revisions made; this would mend it:', drift)
    }
  }

  stamp(results: readonly StampResult[]): void {
    for (const { engine, marked, unmarked, sql } of results) {
      if (marked.length + unmarked.length === 0) this.#note(`${engine}  nothing to do`)
      else if (sql !== undefined) this.#sql(sql)
      for (const name of sql === undefined ? marked : []) this.#line(`${engine}  ${name}  marked as applied`)
      for (const name of sql === undefined ? unmarked : []) {
        this.#line(`${engine}  ${name}  marked as not applied`)
      }
    }
  }

  tables(results: readonly TablesResult[], what: 'created' | 'dropped'): void {
    for (const { engine, statements } of results) {
      if (statements.length === 0) this.#note(`${engine}  nothing to do`)
      else if (this.#isData) this.#sql(statements)
      else this.#line(`${engine}  tables ${what} (${count(statements.length, 'statement')})`)
    }
  }

  seeds(results: readonly SeedResult[]): void {
    for (const { engine, seeders } of results)
      for (const name of seeders) this.#line(`${engine}  ${name}  done`)
  }

  #start(engine: string, revision: string, direction: Direction): void {
    const started = performance.now()
    this.#tick = setInterval(() => {
      const seconds = Math.round((performance.now() - started) / 1_000)
      this.#note(`${engine}  ${direction}  ${revision}  still running after ${seconds} s`)
    }, TICK)
    this.#tick.unref()
  }

  #differences(engine: string, what: string, lines: readonly string[]): void {
    if (lines.length === 0) return
    this.#line(`${engine}  ${what}`)
    for (const line of lines) this.#line(`  ${line}`)
  }

  #sql(statements: readonly string[]): void {
    for (const sql of statements) this.#line(sql)
  }

  #line(text: string): void {
    process.stdout.write(`${text}\n`)
  }

  #note(text: string): void {
    const stream = this.#isData ? process.stderr : process.stdout
    stream.write(`${text}\n`)
  }
}

function fileNote(state: string): string {
  return state === 'missing' ? ', there is no file' : ''
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function near(path: string): string {
  return relative(process.cwd(), path) || '.'
}
