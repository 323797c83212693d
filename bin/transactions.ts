import { Command } from 'commander'
import type { Prepared, PreparedTransaction, Resolution } from '../src/index.ts'
import { redact } from '../src/index.ts'
import { withApp } from './app.ts'
import { errors } from './errors.ts'
import { answerNo } from './outcome.ts'

interface CommonOptions {
  readonly app: string
}

/** `sqlassist transactions …`: what commits in two phases have prepared and not ended. */
export function transactionsCommand(): Command {
  const group = new Command('transactions').description('Prepared transactions of commits in two phases')

  command(
    group,
    'list',
    "list what is prepared in the databases of the engines, other people's included",
  ).action((options: CommonOptions) =>
    run(options, async transactions => {
      const { prepared, unreachable } = await transactions.list()
      const width = Math.max(...prepared.map(({ engine }) => engine.length), 0)
      for (const found of prepared)
        printLine(`${found.engine.padEnd(width)}  ${found.gid}  ${stateOf(found)}`)
      for (const { engine, error } of unreachable) complain(`${engine}: ${reasonOf(error)}`)
      if (unreachable.length > 0) answerNo()
    }),
  )

  command(group, 'resolve', 'commit or roll back what crashes have left prepared, by the decisions')
    .argument('[id]', 'only the transaction with this id or name; `list` shows them')
    .option(
      '--force',
      'also what was prepared within the last seconds; a process that is about to commit it will fail',
    )
    .action((wanted: string | undefined, { force, ...options }: CommonOptions & { force?: boolean }) =>
      run(options, async transactions => {
        const id = wanted === undefined ? undefined : await idOf(transactions, wanted)
        const resolutions = await transactions.resolve({ id, force })
        for (const resolution of resolutions) printLine(`${resolution.gid}  ${outcomeOf(resolution)}`)
        if (resolutions.some(({ outcome }) => outcome === 'failed' || outcome === 'waiting')) answerNo()
      }),
    )

  return group
}

function command(group: Command, name: string, description: string): Command {
  return group
    .command(name)
    .description(description)
    .requiredOption('--app <file>', 'a file that exports the application, with twoPhase')
}

function run({ app: spec }: CommonOptions, work: (transactions: Prepared) => Promise<void>): Promise<void> {
  return withApp(spec, async app => {
    const { prepared } = app.sqlAssist ?? {}
    if (prepared === undefined) {
      throw new errors.SQLA_ERR_CLI_APP(
        spec,
        'the application does not register fastify-sqlassist with twoPhase',
      )
    }
    await work(prepared)
  })
}

async function idOf(transactions: Prepared, wanted: string): Promise<string> {
  const { prepared } = await transactions.list()
  const found = prepared.find(({ id, gid }) => id !== undefined && (id === wanted || gid === wanted))
  if (found?.id !== undefined) return found.id
  throw new errors.SQLA_ERR_CLI_FILE(wanted, 'no transaction of this application is prepared under it')
}

function stateOf({ id, age, owner, isMine, decision }: PreparedTransaction): string {
  const what =
    id === undefined
      ? "somebody else's"
      : decision === undefined
        ? 'undecided'
        : `to be ${decision === 'commit' ? 'committed' : 'rolled back'}`
  return `${what}, ${Math.round(age / 1000)} s old, of ${owner}${isMine ? '' : ', whose it is to end'}`
}

function outcomeOf({ outcome, error }: Resolution): string {
  if (outcome === 'waiting') return 'left alone: it may be about to be committed. --force rolls it back'
  return outcome === 'failed' ? `failed: ${reasonOf(error)}` : outcome
}

function reasonOf(error: unknown): string {
  return redact(error instanceof Error ? error.message : String(error))
}

function complain(text: string): void {
  process.stderr.write(`${clean(text)}\n`)
}

function printLine(text: string): void {
  process.stdout.write(`${clean(text)}\n`)
}

/** A name may have been made to look like something else on a terminal. */
function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}
