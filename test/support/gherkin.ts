import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { AstBuilder, compile, GherkinClassicTokenMatcher, Parser } from '@cucumber/gherkin'
import { IdGenerator, type Pickle, type PickleStep } from '@cucumber/messages'
import type { Test } from 'tap'

// A runner for gherkin features: the parser expands outlines and backgrounds, the steps are functions.

/** What a sentence of a feature does. */
export interface Step<World> {
  readonly pattern: RegExp
  run(world: World, args: string[], table: string[][]): unknown
}

const PLACEHOLDERS: Record<string, string> = {
  '{string}': '"((?:[^"\\\\]|\\\\.)*)"',
  '{word}': '(\\w+)',
  '{words}': '([\\w ]+)',
}

/**
 * @param sentence as in the feature, with `{string}`, `{word}` or `{words}` for what differs
 * @param run what it does; its texts come without quotes and escapes
 */
export function step<World>(
  sentence: string,
  run: (world: World, args: string[], table: string[][]) => unknown,
): Step<World> {
  const literal = sentence.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&')
  const source = literal.replaceAll(/\{\w+\}/g, name => PLACEHOLDERS[name] ?? name)
  return { pattern: new RegExp(`^${source}$`, 'i'), run }
}

/** A scenario that is not run, and why. */
export interface Exclusion {
  /** A tag, with its `@`. */
  readonly tag?: string
  /** Or what one of its steps says. */
  readonly step?: RegExp
  readonly reason: string
}

export interface FeatureRun<World> {
  readonly steps: readonly Step<World>[]
  readonly excluded?: readonly Exclusion[]
  /** A world for one scenario, which ends with `t`. */
  world(t: Test): World | Promise<World>
}

/**
 * Runs every scenario of a feature as a test of its own. A sentence that no step, or more than one, understands fails.
 *
 * @returns how many scenarios ran, and how many each exclusion took out
 */
export async function runFeature<World>(
  t: Test,
  file: string,
  { steps, excluded = [], world }: FeatureRun<World>,
): Promise<{ ran: number; excluded: Map<Exclusion, number> }> {
  const counts = new Map<Exclusion, number>()
  let ran = 0
  for (const pickle of await scenarios(file)) {
    const exclusion = excluded.find(one => isExcluded(pickle, one))
    if (exclusion !== undefined) {
      counts.set(exclusion, (counts.get(exclusion) ?? 0) + 1)
      continue
    }
    ran += 1
    await t.test(nameOf(pickle), async t => {
      const here = await world(t)
      for (const one of pickle.steps) await runStep(steps, one, here)
    })
  }
  for (const [{ tag, step, reason }, count] of counts) {
    t.comment(`EXCLUDED: ${basename(file)}: ${count} of ${tag ?? step}: ${reason}`)
  }
  return { ran, excluded: counts }
}

async function scenarios(file: string): Promise<readonly Pickle[]> {
  const newId = IdGenerator.uuid()
  const parser = new Parser(new AstBuilder(newId), new GherkinClassicTokenMatcher())
  return compile(parser.parse(await readFile(file, 'utf8')), file, newId)
}

function isExcluded(pickle: Pickle, { tag, step }: Exclusion): boolean {
  if (tag !== undefined) return pickle.tags.some(({ name }) => name === tag)
  return step !== undefined && pickle.steps.some(({ text }) => step.test(text))
}

/** The rows of an outline have one name: what differs between them is in their steps. */
function nameOf({ name, steps }: Pickle): string {
  return `${name}: ${steps.map(({ text }) => text).join('; ')}`
}

async function runStep<World>(steps: readonly Step<World>[], one: PickleStep, world: World): Promise<void> {
  const fitting = steps.filter(({ pattern }) => pattern.test(one.text))
  const [only] = fitting
  if (only === undefined || fitting.length > 1) {
    throw new Error(`${fitting.length} steps understand: ${one.text}`)
  }
  const args = (only.pattern.exec(one.text) ?? []).slice(1).map(text => text.replaceAll(/\\(["\\])/g, '$1'))
  const table = one.argument?.dataTable?.rows.map(row => row.cells.map(({ value }) => value)) ?? []
  await only.run(world, args, table)
}
