import type { EventTable } from './tables.ts'

/** The first half of the keys of all advisory locks of this plugin: "SQLA" in ASCII. The second half is the table's oid. */
export const LOCK_SPACE = 0x53514c41

/** The second half: whichever way the table is written, and wherever the search path finds it, it is the same lock. */
export function lockKey(events: EventTable): string {
  return `'${events.sql}'::regclass::oid::int4`
}

/** The condition that a row of pg_locks is about that lock, and that somebody has it. */
export function isHeld(events: EventTable): string {
  return `locktype = 'advisory' and granted
    and database = (select oid from pg_database where datname = current_database())
    and classid = ${LOCK_SPACE}::oid and objid = '${events.sql}'::regclass::oid and objsubid = 2`
}
