import { readFile } from 'node:fs/promises'
import type { Entries, FlagInput, JsonValue } from '../../plugins/flags/index.ts'

// OpenFeature's test flags as flags of ours. Its `contextEvaluator` is a segment, and then its `defaultVariant` is the
// variant `otherwise`; without one its `defaultVariant` is the only one with a weight.

interface TestFlag {
  readonly disabled?: boolean
  readonly variants: Record<string, JsonValue>
  readonly defaultVariant?: string | null
  readonly contextEvaluator?: string
  readonly flagMetadata?: Record<string, string | number | boolean> | null
}

export interface TestFlags {
  readonly flags: readonly FlagInput[]
  readonly metadata: ReadonlyMap<string, Record<string, string | number | boolean>>
  isInSegment(segment: string, entries: Entries): boolean
}

/** The conditions of the file, which are written in CEL. */
const CONDITIONS: Record<string, (entries: Entries) => boolean> = {
  "email == 'ballmer@macrosoft.com'": ({ email }) => email === 'ballmer@macrosoft.com',
  "!customer && email == 'ballmer@macrosoft.com' && age > 10": ({ customer, email, age }) =>
    customer !== true && email === 'ballmer@macrosoft.com' && Number(age) > 10,
}

export async function testFlags(file: string): Promise<TestFlags> {
  const all = Object.entries(JSON.parse(await readFile(file, 'utf8')) as Record<string, TestFlag>)
  return {
    flags: all.map(([name, flag]) => inputOf(name, flag)),
    metadata: new Map(all.map(([name, flag]) => [name, flag.flagMetadata ?? {}])),
    isInSegment(segment, entries) {
      const condition = CONDITIONS[segment]
      if (condition === undefined) throw new Error(`nobody has translated: ${segment}`)
      return condition(entries)
    },
  }
}

function inputOf(name: string, flag: TestFlag): FlagInput {
  const [, condition, target] = /^(.*) \? '(.*)' : ''$/.exec(flag.contextEvaluator ?? '') ?? []
  // A flag without a default variant has none that everybody gets: all have the same weight.
  const served = target ?? flag.defaultVariant
  const options = Object.entries(flag.variants).map(([variant, value]) => ({
    name: variant,
    value,
    weight: served == null || variant === served ? 1 : 0,
  }))
  return {
    name,
    enabled: flag.disabled !== true,
    variants: {
      actor_key: 'user_id',
      options,
      ...(condition === undefined || flag.defaultVariant == null ? {} : { otherwise: flag.defaultVariant }),
    },
    segments: condition === undefined ? null : [condition],
  }
}
