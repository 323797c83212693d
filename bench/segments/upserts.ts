import type { Identity } from 'fastify-sqlassist/segments'
import { query } from '../lib/database.ts'
import type { Apps } from './apps.ts'
import { TWENTY } from './questions.ts'
import type { Pair } from './turns.ts'

const AT_ONCE = 1000

/** What keeping the members of twenty segments current costs whoever saves identities. */
export async function upserts(
  { usual, live }: Apps,
  url: string,
  identities: number,
  say: (text: string) => void,
): Promise<Pair[]> {
  const start = performance.now()
  for (const segment of TWENTY) await live.segments.materialise(segment)
  say(`  20 segments were materialised in ${((performance.now() - start) / 1000).toFixed(0)} s`)
  // As autovacuum does, which is turned off here: the planner must know how many members there are.
  await query(url, ['vacuum analyze live_members', 'checkpoint'])
  const one = (app: Apps['usual']) => (turn: number) =>
    app.segments.upsertIdentity(somebody(turn, identities), { merge: true })
  const many = (app: Apps['usual']) => (turn: number) =>
    app.segments.upsertIdentities(
      Array.from({ length: AT_ONCE }, (_, at) => somebody(turn * AT_ONCE + at, identities)),
      { merge: true },
    )
  const [name, target] = ['20 segments that are kept current: none', null]
  return [
    { bench: 'segments-upsert', name, ours: one(live), theirs: one(usual), target, times: 200 },
    { bench: `segments-upsert-${AT_ONCE}`, name, ours: many(live), theirs: many(usual), target, times: 2 },
  ]
}

/** Somebody who is there, with a few other traits: he leaves some segments and comes into others. */
function somebody(number: number, identities: number): Identity {
  const n = (number * 7919) % identities
  return {
    identifier: `user-${1 + n}`,
    traits: {
      plan: ['free', 'pro', 'team', 'enterprise'][number % 4] as string,
      age: 16 + (number % 70),
      version: `${1 + (number % 4)}.${number % 20}.0`,
    },
  }
}
