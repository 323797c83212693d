import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseNumbers, rawJson } from '../../plugins/segments/raw-json.ts'
import type { EvaluationContext, SegmentContext } from '../../plugins/segments/segment.ts'

// The public suite of Flagsmith's engines. It is read where it is.

const directory =
  process.env.SEGMENT_ENGINE_DATA ??
  fileURLToPath(new URL('../../../shared/data/segments/engine-test-data', import.meta.url))

export interface EngineCase {
  readonly file: string
  readonly context: EvaluationContext & { readonly segments?: Readonly<Record<string, SegmentContext>> }
  readonly result: { readonly segments: readonly { readonly name: string }[] }
}

/** @returns undefined when the suite is not here */
export function engineCases(): readonly EngineCase[] | undefined {
  if (!existsSync(directory)) return undefined
  const files = readdirSync(directory).filter(file => /\.jsonc?$/.test(file))
  return files.map(file => {
    const json = withoutComments(readFileSync(join(directory, file), 'utf8'))
    const { context, result } = parseNumbers(json, (_value, source) => rawJson(source)) as Omit<
      EngineCase,
      'file'
    >
    return { file, context, result }
  })
}

/** Comments are taken out, texts that look like some are not. */
function withoutComments(jsonc: string): string {
  return jsonc.replace(
    /("(?:[^"\\]|\\.)*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (_all, text: string | undefined) => text ?? '',
  )
}
