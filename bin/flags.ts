import { readFile, writeFile } from 'node:fs/promises'
import { Command } from 'commander'
import type { FastifyInstance } from 'fastify'
import { flagHistory, rollBackFlag, unusedFlags } from '../plugins/flags/edits.ts'
import type { FlagClient, FlagData, FlagInput, FlagStore, HistoryEntry } from '../plugins/flags/index.ts'
import { withApp } from './app.ts'
import { errors } from './errors.ts'

interface CommonOptions {
  readonly app: string
}

interface WriteOptions extends CommonOptions {
  readonly author?: string
}

/** `sqlassist flags …`: the flags of an application, from the command line. */
export function flagsCommand(): Command {
  const group = new Command('flags').description('Feature flags')

  command(group, 'list', 'list all flags')
    .option('--deleted', 'those that were deleted, too')
    .action((options: CommonOptions & { deleted?: boolean }) =>
      run(options, async ({ storage }) => {
        const all = await storage.list()
        const shown = all.filter(flag => options.deleted || !flag.deleted)
        const width = Math.max(...shown.map(({ name }) => name.length), 0)
        shown.sort((a, b) => (a.name < b.name ? -1 : 1))
        for (const flag of shown) printLine(`${flag.name.padEnd(width)}  ${stateOf(flag)}`)
      }),
    )

  for (const [name, enabled] of [
    ['enable', true],
    ['disable', false],
  ] as const) {
    writing(group, name, `${name} a flag`)
      .argument('<name>', 'of the flag')
      .action((flag: string, { author, ...options }: WriteOptions) =>
        run(options, async ({ storage }) => {
          const { version } = await existing(storage, flag)
          saved(await storage.upsert({ name: flag, enabled }, { author, expectedVersion: version }))
        }),
      )
  }

  writing(group, 'set', 'change a flag, or make one')
    .argument('<name>', 'of the flag')
    .argument('<json>', 'what changes: \'{"enabled": true, "description": "…"}\'')
    .action((name: string, json: string, { author, ...options }: WriteOptions) =>
      run(options, async ({ storage }) => {
        saved(await storage.upsert({ ...(objectOf(json, 'the JSON') as object), name }, { author }))
      }),
    )

  command(group, 'history', 'list what was done to a flag, the newest first; also to one that is gone')
    .argument('<name>', 'of the flag')
    .option('--limit <changes>', 'how many', '100')
    .action((name: string, { limit, ...options }: CommonOptions & { limit: string }) =>
      run(options, async client => {
        const history = await flagHistory(client, name, { limit: wholeNumber(limit, '--limit') })
        if (history.length === 0 && (await client.storage.get(name)) === undefined) noSuchFlag(name)
        for (const entry of history) printLine(changeOf(entry))
      }),
    )

  writing(group, 'rollback', 'make a flag what it was')
    .argument('<name>', 'of the flag')
    .argument('<version>', 'to go back to; `history` lists them')
    .action((name: string, version: string, { author, ...options }: WriteOptions) =>
      run(options, async client => {
        saved(await rollBackFlag(client, name, wholeNumber(version, 'the version'), { author }))
      }),
    )

  command(group, 'unused', 'list the flags that nobody has asked for, or changed, for some days')
    .option('--days <days>', 'how many', '30')
    .action(({ days, ...options }: CommonOptions & { days: string }) =>
      run(options, async client => {
        const count = wholeNumber(days, '--days')
        const { since, flags } = await unusedFlags(client, count)
        warnOfShortRecord(since, count)
        const width = Math.max(...flags.map(({ flag }) => flag.name.length), 0)
        for (const { flag, askedAt } of flags) {
          const last = askedAt === undefined ? 'never asked for' : `last asked for ${timeOf(askedAt)}`
          printLine(`${flag.name.padEnd(width)}  ${last}`)
        }
      }),
    )

  command(group, 'export', 'write all flags as JSON')
    .option('--out <file>', 'instead of standard output')
    .action((options: CommonOptions & { out?: string }) =>
      run(options, async ({ storage }) => {
        const all = (await storage.list()).filter(flag => !flag.deleted)
        const text = JSON.stringify(all.map(portable), undefined, 2)
        if (options.out === undefined) print(text)
        else await writeFile(options.out, `${text}\n`)
      }),
    )

  writing(group, 'import', 'save the flags of a file that export has written; others stay')
    .argument('<file>', 'JSON')
    .action((file: string, { author, ...options }: WriteOptions) =>
      run(options, async ({ storage }) => {
        const text = await readFile(file, 'utf8').catch(() => refuse(file, 'cannot be read'))
        const list = objectOf(text, file)
        if (!Array.isArray(list)) refuse(file, 'must be a list of flags')
        for (const flag of list as FlagInput[]) saved(await storage.upsert(flag, { author }))
      }),
    )

  return group
}

function command(group: Command, name: string, description: string): Command {
  return group
    .command(name)
    .description(description)
    .requiredOption('--app <file>', 'a file that exports the application, with the flags plugin')
}

/** A command that changes flags: the history says who has. */
function writing(group: Command, name: string, description: string): Command {
  return command(group, name, description).option('--author <name>', 'who it is, for the history')
}

function run({ app: spec }: CommonOptions, work: (client: FlagClient) => Promise<void>): Promise<void> {
  return withApp(spec, async app => {
    const client = (app as FastifyInstance & { flags?: FastifyInstance['flags'] }).flags
    if (client === undefined) {
      throw new errors.SQLA_ERR_CLI_APP(spec, 'the application has no app.flags; register the flags plugin')
    }
    await work(client)
  })
}

async function existing(storage: FlagStore, name: string): Promise<FlagData> {
  const flag = await storage.get(name)
  return flag === undefined || flag.deleted ? noSuchFlag(name) : flag
}

function noSuchFlag(name: string): never {
  return refuse(`'${name}'`, 'there is no such flag; `set` makes one')
}

function wholeNumber(text: string, what: string): number {
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : refuse(what, 'must be a whole number, 1 or more')
}

function portable({
  version: _version,
  updated_at: _updated,
  deleted: _deleted,
  ...rest
}: FlagData): FlagInput {
  return rest
}

function saved(flag: FlagData): void {
  printLine(`${flag.name}  ${stateOf(flag)}`)
}

function changeOf({ version, action, author, at, data }: HistoryEntry): string {
  const by = author === null ? '' : ` by ${author}`
  return `${version}  ${timeOf(at)}  ${action}${by}: ${stateOf(data)}`
}

/** @param seconds since 1970 */
function timeOf(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`
}

/** An empty list must not look as if every flag were needed. */
function warnOfShortRecord(since: number | undefined, days: number): void {
  if (since !== undefined && since < Date.now() / 1000 - days * 86_400) return
  const begin =
    since === undefined ? 'nothing is written down yet' : `it is written down since ${timeOf(since)}`
  process.stderr.write(`Which flags are asked for: ${begin}. Of ${days} days nothing can be said.\n`)
}

function stateOf(flag: FlagData): string {
  if (flag.deleted) return 'deleted'
  if (!flag.enabled) return 'off'
  const { enabled_for_actors: actors, enabled_for_percentage_of_actors: share } = flag
  const conditions = [
    actors && `${actors.actor_ids.length} by ${actors.actor_key}`,
    share && `${share.percentage} % by ${share.actor_key}`,
    flag.segments?.length ? `segments ${flag.segments.join(', ')}` : undefined,
    flag.requires?.length ? `requires ${flag.requires.join(', ')}` : undefined,
    flag.from ? `from ${flag.from}` : undefined,
    flag.until ? `until ${flag.until}` : undefined,
  ].filter(Boolean)
  return conditions.length === 0 ? 'on' : `on for ${conditions.join('; ')}`
}

function objectOf(json: string, what: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    refuse(what, 'is no JSON')
  }
  if (typeof value !== 'object' || value === null) refuse(what, 'must be an object')
  return value
}

function refuse(what: string, problem: string): never {
  throw new errors.SQLA_ERR_CLI_FILE(what, problem)
}

function printLine(text: string): void {
  print(text.replaceAll('\n', '?'))
}

function print(text: string): void {
  // A name may have been made to look like something else on a terminal.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
  process.stdout.write(`${text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '?')}\n`)
}
