import type { SegmentContext } from 'fastify-sqlassist/segments'
import type { Apps } from './apps.ts'
import { TWENTY } from './questions.ts'
import type { Pair } from './turns.ts'

const LIMIT = 100
/** What `members` gives at most. */
const MOST = 10_000
/** The last page may cost so much more than the first one. */
const FLAT = 1.25

/** The last page of members against the first one. */
export async function pages(apps: Apps): Promise<Pair[]> {
  const keys = ['pro', 'a tenth']
  const asked = TWENTY.filter(({ key }) => keys.includes(key))
  return Promise.all(asked.map(segment => pageOf(apps, segment)))
}

async function pageOf({ usual }: Apps, segment: SegmentContext): Promise<Pair> {
  const { segments } = usual
  const after = await startOfLastPage(usual, segment)
  return {
    bench: 'segments-page',
    name: `members of '${segment.key}', the last ${LIMIT}: the first ${LIMIT}`,
    ours: () => segments.members(segment, { limit: LIMIT, after }),
    theirs: () => segments.members(segment, { limit: LIMIT }),
    target: { ratio: 1 / FLAT },
    times: 100,
  }
}

/** Found by paging through all of them. */
async function startOfLastPage(app: Apps['usual'], segment: SegmentContext): Promise<string> {
  let last: string[] = []
  let after: string | undefined
  do {
    const page = await app.segments.members(segment, { limit: MOST, after })
    last = [...last.slice(-LIMIT - 1), ...page.identities.map(({ id }) => id)]
    after = page.next ?? undefined
  } while (after !== undefined)
  return last.at(-LIMIT - 1) as string
}
