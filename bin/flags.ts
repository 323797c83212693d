import { readFile, writeFile } from 'node:fs/promises'
import { Command } from 'commander'
import type { FastifyInstance } from 'fastify'
import type { FlagData, FlagInput, FlagStore } from '../plugins/flags/index.ts'
import { withApp } from './app.ts'
import { errors } from './errors.ts'

interface CommonOptions {
  readonly app: string
}

/** `sqlassist flags …`: the flags of an application, from the command line. */
export function flagsCommand(): Command {
  const group = new Command('flags').description('Feature flags')

  command(group, 'list', 'list all flags')
    .option('--deleted', 'those that were deleted, too')
    .action((options: CommonOptions & { deleted?: boolean }) =>
      run(options, async storage => {
        const all = await storage.list()
        const shown = all.filter(flag => options.deleted || !flag.deleted)
        const width = Math.max(...shown.map(({ name }) => name.length), 0)
        shown.sort((a, b) => (a.name < b.name ? -1 : 1))
        for (const flag of shown) print(`${flag.name.padEnd(width)}  ${stateOf(flag)}`)
      }),
    )

  for (const [name, enabled] of [
    ['enable', true],
    ['disable', false],
  ] as const) {
    command(group, name, `${name} a flag`)
      .argument('<name>', 'of the flag')
      .action((flag: string, options: CommonOptions) =>
        run(options, async storage => {
          await existing(storage, flag)
          saved(await storage.upsert({ name: flag, enabled }))
        }),
      )
  }

  command(group, 'set', 'change a flag, or make one')
    .argument('<name>', 'of the flag')
    .argument('<json>', 'what changes: \'{"enabled": true, "description": "…"}\'')
    .action((name: string, json: string, options: CommonOptions) =>
      run(options, async storage => {
        saved(await storage.upsert({ ...(objectOf(json, 'the JSON') as object), name }))
      }),
    )

  command(group, 'export', 'write all flags as JSON')
    .option('--out <file>', 'instead of standard output')
    .action((options: CommonOptions & { out?: string }) =>
      run(options, async storage => {
        const all = (await storage.list()).filter(flag => !flag.deleted)
        const text = JSON.stringify(all.map(portable), undefined, 2)
        if (options.out === undefined) print(text)
        else await writeFile(options.out, `${text}\n`)
      }),
    )

  command(group, 'import', 'save the flags of a file that export has written; others stay')
    .argument('<file>', 'JSON')
    .action((file: string, options: CommonOptions) =>
      run(options, async storage => {
        const text = await readFile(file, 'utf8').catch(() => refuse(file, 'cannot be read'))
        const list = objectOf(text, file)
        if (!Array.isArray(list)) refuse(file, 'must be a list of flags')
        for (const flag of list as FlagInput[]) saved(await storage.upsert(flag))
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

function run({ app: spec }: CommonOptions, work: (storage: FlagStore) => Promise<void>): Promise<void> {
  return withApp(spec, async app => {
    const client = (app as FastifyInstance & { flags?: FastifyInstance['flags'] }).flags
    if (client === undefined) {
      throw new errors.SQLA_ERR_CLI_APP(spec, 'the application has no app.flags; register the flags plugin')
    }
    await work(client.storage)
  })
}

async function existing(storage: FlagStore, name: string): Promise<void> {
  const all = await storage.list()
  if (all.some(flag => flag.name === name && !flag.deleted)) return
  refuse(`'${name}'`, 'there is no such flag; `set` makes one')
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
  print(`${flag.name}  ${stateOf(flag)}`)
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

function print(text: string): void {
  // A name may have been made to look like something else on a terminal.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
  process.stdout.write(`${text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '?')}\n`)
}
