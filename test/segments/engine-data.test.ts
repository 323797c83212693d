import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { isContextInSegment } from '../../plugins/segments/evaluate.ts'
import { parseNumbers, rawJson } from '../../plugins/segments/raw-json.ts'
import type { EvaluationContext, SegmentContext } from '../../plugins/segments/segment.ts'
import { validateSegment } from '../../plugins/segments/validate.ts'

// The public suite of Flagsmith's engines. It is read where it is.

const directory =
  process.env.SEGMENT_ENGINE_DATA ??
  fileURLToPath(new URL('../../../shared/data/segments/engine-test-data', import.meta.url))

interface Case {
  readonly context: EvaluationContext & { readonly segments?: Readonly<Record<string, SegmentContext>> }
  readonly result: { readonly segments: readonly { readonly name: string }[] }
}

function readCase(file: string): Case {
  const json = withoutComments(readFileSync(join(directory, file), 'utf8'))
  return parseNumbers(json, (_value, source) => rawJson(source)) as Case
}

/** Comments are taken out, texts that look like some are not. */
function withoutComments(jsonc: string): string {
  return jsonc.replace(
    /("(?:[^"\\]|\\.)*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (_all, text: string | undefined) => text ?? '',
  )
}

function isValid(segment: SegmentContext): boolean {
  try {
    validateSegment(segment)
    return true
  } catch {
    return false
  }
}

t.test(
  'every segment of every case',
  { skip: existsSync(directory) ? false : 'no SEGMENT_ENGINE_DATA, and no ../shared/data/segments' },
  async t => {
    const files = readdirSync(directory).filter(file => /\.jsonc?$/.test(file))
    let pairs = 0
    let members = 0
    const invalid = new Set<string>()
    for (const file of files) {
      const { context, result } = readCase(file)
      const expected = new Set(result.segments.map(({ name }) => name))
      for (const segment of Object.values(context.segments ?? {})) {
        pairs++
        if (expected.has(segment.name)) members++
        t.equal(isContextInSegment(context, segment), expected.has(segment.name), `${file}: ${segment.name}`)
        if (!isValid(segment)) invalid.add(segment.name)
      }
    }
    t.ok(files.length > 0 && pairs > 0)
    t.same(
      [...invalid],
      ['segment_modulo_empty_format'],
      'the suite has few segments that should not be saved',
    )
    t.comment(`${files.length} cases, ${pairs} pairs of a case and a segment, ${members} members`)
  },
)
