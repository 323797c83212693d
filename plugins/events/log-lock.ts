import type { EventTable } from './tables.ts'

/** The first half of the keys of all advisory locks of this plugin: "SQLA" in ASCII. The second half is the table's oid. */
export const LOCK_SPACE = 0x53514c41

/** The trigger of a table of events that takes the lock for whoever writes. */
export const LOCK_TRIGGER = 'sqlassist_lock'

/** The condition that a table, if it is there, has a trigger that fires. */
export function hasTrigger(events: EventTable, trigger: string): string {
  return `exists (select from pg_trigger where tgrelid = to_regclass('${events.sql}') and tgname = '${trigger}' and tgenabled in ('O', 'A'))`
}

/** The condition that a row of pg_locks is about that lock, and that somebody has it. */
export function isHeld(events: EventTable): string {
  return `locktype = 'advisory' and granted
    and database = (select oid from pg_database where datname = current_database())
    and classid = ${LOCK_SPACE}::oid and objid = '${events.sql}'::regclass::oid and objsubid = 2`
}
