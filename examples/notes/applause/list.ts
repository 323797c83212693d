import type { EntityManager } from '@mikro-orm/postgresql'
import type { RecordedEvent } from 'fastify-sqlassist/events'
import type { NoteApplause } from './application.ts'

/** A note and its applause. */
export interface Applauded {
  readonly id: number
  readonly title: string
  readonly author: string
  readonly claps: number
  /** As the driver gives it. */
  readonly lastClapAt: string | null
  /** Of the aggregate; null before the first clap. */
  readonly applause: string | null
}

/** What the page shows, and keeps up to date. */
export interface ApplauseList {
  /** Those with the most applause first. */
  readonly notes: readonly Applauded[]
  /** The newest first. */
  readonly events: readonly RecordedEvent[]
}

const MOST_APPLAUDED = `
  select n.id, n.title, a.name as author, coalesce(v.claps, 0) as claps, v.last_clap_at as "lastClapAt", v.id as applause
  from note n join author a on a.id = n.author_id left join applause v on v.note_id = n.id
  order by claps desc, v.last_clap_at desc nulls last, n.id desc limit 10`

/** The view has a table of its own, so it can be joined to the others. The events are read from the log itself. */
export async function readApplause(reader: EntityManager, log: NoteApplause): Promise<ApplauseList> {
  const notes = await reader.execute<Applauded[]>(MOST_APPLAUDED)
  const settled = await log.settled()
  const events = await log.notificationLog.select({ start: settled - 9 })
  return { notes, events: events.reverse() }
}
