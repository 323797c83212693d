import type { Apps } from './apps.ts'
import { EQUAL, QUESTIONS, TWENTY } from './questions.ts'
import type { Pair } from './turns.ts'

/** What each operator costs, compared with the simplest one. */
export function scans({ scanning }: Apps): Pair[] {
  return QUESTIONS.map(({ segment, atMost }) => ({
    bench: 'segments-scan',
    name: `${segment.key}: an EQUAL scan`,
    ours: () => scanning.segments.count(segment),
    theirs: () => scanning.segments.count(EQUAL),
    target: atMost === undefined ? null : { ratio: 1 / atMost, cpuRatio: atMost },
  }))
}

/** Twenty segments at once. */
export function countsOfMany({ scanning }: Apps): Pair[] {
  return [
    {
      bench: 'segments-count-many',
      name: 'countMany of 20 segments: 20 counts',
      ours: () => scanning.segments.countMany(TWENTY),
      async theirs() {
        for (const segment of TWENTY) await scanning.segments.count(segment)
      },
      target: { ratio: 1.5 },
    },
  ]
}
