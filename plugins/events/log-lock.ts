import type { EventTable } from './tables.ts'

/** The first half of the keys of all advisory locks of this plugin: "SQLA" in ASCII. The second half is the table's oid. */
export const LOCK_SPACE = 0x53514c41

/** The second half: whichever way the table is written, and wherever the search path finds it, it is the same lock. */
export function lockKey(events: EventTable): string {
  return `'${events.sql}'::regclass::oid::int4`
}
