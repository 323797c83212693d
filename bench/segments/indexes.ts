import { query } from '../lib/database.ts'
import type { Apps } from './apps.ts'
import { EQUAL, QUESTIONS } from './questions.ts'
import type { Pair } from './turns.ts'

/** Counts with the indexes that `adviseIndexes` says, against scans; those for which it says none are named. */
export async function indexes(
  { usual, scanning }: Apps,
  url: string,
  say: (text: string) => void,
): Promise<Pair[]> {
  const asked = [EQUAL, ...QUESTIONS.map(({ segment }) => segment)]
  const advice = await usual.segments.adviseIndexes(asked)
  const kinds = new Map<string, string>()
  for (const { kind, ddl, bytes, segments } of advice.indexes) {
    await query(url, [ddl])
    for (const { segment } of segments) kinds.set(segment, `${kind}, ${Math.ceil(bytes / 1e6)} MB`)
  }
  for (const { ddl } of advice.statistics) await query(url, [ddl])
  await query(url, ['vacuum analyze identities', 'checkpoint'])
  const without = asked.filter(({ key }) => !kinds.has(key)).map(({ key }) => key)
  say(`  ${advice.indexes.length} indexes and ${advice.statistics.length} statistics were created`)
  say(`  no index is advised for: ${without.join('; ')}`)
  return asked
    .filter(({ key }) => kinds.has(key))
    .map(segment => ({
      bench: 'segments-index',
      name: `${segment.key} (${kinds.get(segment.key)}): its scan`,
      ours: () => usual.segments.count(segment),
      theirs: () => scanning.segments.count(segment),
      target: null,
    }))
}
