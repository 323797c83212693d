import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { createInterface as createPrompt } from 'node:readline/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { FastifyInstance } from 'fastify'
import { type Migrations, migrations } from '../plugins/migrations/index.ts'
import { withApp } from './app.ts'
import { DatabaseReport } from './database-report.ts'
import { errors } from './errors.ts'
import { answerNo } from './outcome.ts'

/** What every command of the group takes. */
interface CommonOptions {
  readonly app: string
  readonly engine?: readonly string[]
  readonly directory?: string
  readonly lockTimeout?: number
  readonly sql?: boolean
}

/** `sqlassist database …`: what `fastify-sqlassist/migrations` does, printed. */
export function databaseCommand(): Command {
  const group = new Command('database').description(
    'Revisions of the schema, tables and data of your engines',
  )

  command(group, 'init', 'make the folders of the migrations').action((options: CommonOptions) =>
    run(options, async ({ work, choice, report }) => report.folders(await work.init(choice))),
  )

  command(group, 'revision', 'write what the entities have and no revision has brought into a new revision')
    .requiredOption('-m, --message <text>', 'what it does; becomes part of its name')
    .option('--empty', 'without statements, to be filled by hand')
    .action((options: CommonOptions & { message: string; empty?: boolean }) =>
      run(options, async ({ work, choice, report }) => {
        const { message, empty = false } = options
        report.revisions(await work.revision({ ...choice, message, empty }), empty)
      }),
    )

  withSql(command(group, 'upgrade', 'run pending revisions'))
    .argument(
      '[target]',
      'head, +N, or a revision: its name, the beginning of its timestamp, or its slug',
      'head',
    )
    .action((to: string, options: CommonOptions) =>
      run(options, async ({ work, choice, report }) =>
        report.run(await work.upgrade({ ...choice, to }), 'up'),
      ),
    )

  withSql(command(group, 'downgrade', 'revert applied revisions'))
    .argument('[target]', '-N, base, or the revision that is to be the newest', '-1')
    .action((to: string, options: CommonOptions) =>
      run(options, async ({ work, choice, report }) =>
        report.run(await work.downgrade({ ...choice, to }), 'down'),
      ),
    )

  command(group, 'history', 'list revisions, and when they were applied').action((options: CommonOptions) =>
    run(options, async ({ work, choice, report }) => report.history(await work.history(choice))),
  )

  command(group, 'current', 'say which revision was applied last').action((options: CommonOptions) =>
    run(options, async ({ work, choice, report }) => report.current(await work.history(choice))),
  )

  command(group, 'check', 'end with 1 unless entities, revisions and database agree').action(
    (options: CommonOptions) =>
      run(options, async ({ work, choice, report }) => {
        const results = await work.check(choice)
        report.check(results)
        if (results.some(({ ok }) => !ok)) answerNo()
      }),
  )

  withSql(command(group, 'stamp', 'write down revisions as applied without running them'))
    .argument('[target]', 'head, base, or the revision that is to be the newest applied one', 'head')
    .action((to: string, options: CommonOptions) =>
      run(options, async ({ work, choice, report }) => report.stamp(await work.stamp({ ...choice, to }))),
    )

  withSql(command(group, 'create-all', 'create the tables that are missing, without revisions')).action(
    (options: CommonOptions) =>
      run(options, async ({ work, choice, report }) =>
        report.tables(await work.createAll(choice), 'created'),
      ),
  )

  withSql(command(group, 'drop-all', 'drop the tables of the entities with all rows, and the bookkeeping'))
    .option('-y, --yes', 'do not ask')
    .action((options: CommonOptions & { yes?: boolean }) =>
      run(options, async ({ work, choice, report }) => {
        if (!options.sql && !options.yes) await confirmDrop(work, choice)
        report.tables(await work.dropAll(choice), 'dropped')
      }),
    )

  command(group, 'dump-data', 'write all rows as lines of JSON')
    .option('--out <file>', 'the file to write; without it, standard output')
    .action((options: CommonOptions & { out?: string }) =>
      run({ ...options, sql: options.out === undefined }, ({ work, choice }) =>
        dump(work, choice, options.out),
      ),
    )

  command(group, 'seed', 'run seeders, or load a dump')
    .argument('[seeders...]', 'names of their classes; without --data, DatabaseSeeder')
    .option('--data <file>', 'a file that dump-data has written, loaded first')
    .action((seeders: string[], options: CommonOptions & { data?: string }) =>
      run(options, async ({ work, choice, report }) => {
        const { data } = options
        if (data !== undefined) await load(work, choice, data)
        if (seeders.length > 0) report.seeds(await work.seed({ ...choice, seeders }))
        else if (data === undefined) report.seeds(await work.seed(choice))
      }),
    )

  return group
}

function command(group: Command, name: string, description: string): Command {
  return group
    .command(name)
    .description(description)
    .requiredOption('--app <file>', 'exports the Fastify application, or a function that makes it')
    .option(
      '--engine <name>',
      'only this engine; may be given several times (default: all that write)',
      (name: string, before: string[] = []) => [...before, name],
    )
    .option('--directory <dir>', 'has a folder of revisions per engine (default: migrations)')
    .addOption(
      new Option(
        '--lock-timeout <seconds>',
        'how long to wait for another process (default: until it is done)',
      ).argParser(seconds),
    )
}

const withSql = (to: Command): Command => to.option('--sql', 'print the SQL instead of running it')

function seconds(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.')
  return value
}

interface Work {
  readonly app: FastifyInstance
  readonly work: Migrations
  readonly choice: Choice
  readonly report: DatabaseReport
}

interface Choice {
  readonly engine?: readonly string[]
  readonly sql?: boolean
}

async function run(options: CommonOptions, act: (context: Work) => unknown): Promise<void> {
  const { app: spec, engine, directory, lockTimeout, sql = false } = options
  const report = new DatabaseReport(sql)
  try {
    await withApp(spec, async app => {
      const work = migrations(app, {
        onEvent: event => report.event(event),
        ...(directory === undefined ? {} : { directory }),
        ...(lockTimeout === undefined ? {} : { lockTimeout: lockTimeout * 1_000 }),
      })
      await act({ app, work, choice: { sql, ...(engine === undefined ? {} : { engine }) }, report })
    })
  } finally {
    report.end()
  }
}

async function confirmDrop(work: Migrations, choice: Choice): Promise<void> {
  const what = 'drop-all'
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new errors.SQLA_ERR_CLI_CONFIRM(what, 'There is nobody to ask here: say --yes')
  }
  const drops = await work.dropAll({ ...choice, sql: true })
  const prompt = createPrompt({ input: process.stdin, output: process.stdout })
  try {
    for (const { engine, statements } of drops) {
      for (const sql of statements) process.stdout.write(`${engine}  ${sql}\n`)
    }
    const answer = await prompt.question('All rows of these tables will be lost. Type "drop" to go on: ')
    if (answer.trim() !== 'drop') throw new errors.SQLA_ERR_CLI_CONFIRM(what, 'The answer was not "drop"')
  } finally {
    prompt.close()
  }
}

async function dump(work: Migrations, choice: Choice, out: string | undefined): Promise<void> {
  if (out === undefined) {
    await work.dumpData({
      ...choice,
      write: text => new Promise<void>(resolve => process.stdout.write(text, () => resolve())),
    })
    return
  }
  // What is there already may be the only copy of something.
  const file = await open(out, 'wx').catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'EEXIST' ? 'there is such a file already' : error.message
    throw new errors.SQLA_ERR_CLI_FILE(`--out ${out}`, reason, { cause: error })
  })
  try {
    await work.dumpData({ ...choice, write: text => file.write(text) })
  } finally {
    await file.close()
  }
}

async function load(work: Migrations, choice: Choice, path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile()) throw new errors.SQLA_ERR_CLI_FILE(`--data ${path}`, 'there is no such file')
  const lines = () => createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })
  await work.loadData({ ...choice, lines, name: path })
}
