#!/usr/bin/env node
import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import { databaseCommand } from './database.ts'
import { flagsCommand } from './flags.ts'
import { exitCodeOf, report } from './outcome.ts'
import { transactionsCommand } from './transactions.ts'

// One group of commands per plugin that has any: `sqlassist database …`.

const program = new Command('sqlassist')
  .description('Commands of fastify-sqlassist')
  .version(await version())
  .addCommand(databaseCommand())
  .addCommand(flagsCommand())
  .addCommand(transactionsCommand())

try {
  await program.parseAsync()
} catch (error) {
  report(error)
}
// Whatever the application has left open (a timer, a socket) does not keep the command from ending.
await flushed(process.stdout)
await flushed(process.stderr)
process.exit(exitCodeOf())

async function version(): Promise<string> {
  // From dist/bin in the package, from bin in its sources.
  for (const path of ['../../package.json', '../package.json']) {
    const text = await readFile(new URL(path, import.meta.url), 'utf8').catch(() => undefined)
    if (text !== undefined) return JSON.parse(text).version
  }
  return 'unknown'
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise(resolve => stream.write('', () => resolve()))
}
