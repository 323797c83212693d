import type { SqlEm } from '../../../src/index.ts'
import { errors } from '../errors.ts'
import type { Tracking } from '../stored-event.ts'
import type { EventTable } from '../tables.ts'
import { dialectOf } from './dialect.ts'

/** Moves somebody's place in a log forward. @returns whether it was before that place */
export type Track = (em: SqlEm, tracking: Tracking) => Promise<boolean>

/** One statement decides and moves: between a look and a move somebody else could have moved. */
export function trackIn(em: SqlEm, table: EventTable): Track {
  return dialectOf(em) === 'mysql' ? trackInMySql(table.sql) : trackByConflict(trackStatement(table))
}

/** Has a row when somebody has moved, else none. Its parameters are the name and the notification. */
export function trackStatement({ sql }: EventTable): string {
  return (
    `insert into ${sql} as t (application_name, notification_id) values (?, ?) ` +
    'on conflict (application_name) do update set notification_id = excluded.notification_id ' +
    'where t.notification_id < excluded.notification_id returning 1 as moved'
  )
}

export function trackingConflict({ applicationName, notificationId }: Tracking): Error {
  return new errors.SQLA_ERR_TRACKING_CONFLICT(applicationName, notificationId)
}

function trackByConflict(statement: string): Track {
  return async (em, { applicationName, notificationId }) => {
    const rows: unknown[] = await em.execute(statement, [applicationName, notificationId])
    return rows.length > 0
  }
}

/** What the update's last_insert_id says when the row was not to be moved. A row that is new says nothing. */
const STAYS = 2

function trackInMySql(sql: string): Track {
  // How many rows it counts depends on a flag of the connection.
  const statement =
    `insert into ${sql} (application_name, notification_id) values (?, ?) on duplicate key update notification_id = ` +
    'if(last_insert_id(if(notification_id < values(notification_id), 1, 2)) = 1, values(notification_id), notification_id)'
  return async (em, { applicationName, notificationId }) => {
    const { insertId } = await em.execute<{ insertId?: number }>(
      statement,
      [applicationName, notificationId],
      'run',
    )
    return insertId !== STAYS
  }
}
