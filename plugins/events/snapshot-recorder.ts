import { AggregateRecorder } from './recorders/aggregate-recorder.ts'
import { dialectOf } from './recorders/dialect.ts'
import { COLUMNS, parametersOf } from './recorders/rows.ts'
import type { StoredEvent } from './stored-event.ts'

/**
 * Snapshots in their table. Where there is one of the same version already, the new one takes its place: whoever takes a
 * snapshot twice, or after `snapshotVersion` has changed, does nothing wrong, and ends nobody's transaction.
 */
export class SnapshotRecorder extends AggregateRecorder {
  override async insertEvents(snapshots: readonly StoredEvent[]): Promise<undefined> {
    await this.datastore.together(async em => {
      const replace =
        dialectOf(em) === 'mysql'
          ? 'on duplicate key update topic = values(topic), state = values(state)'
          : 'on conflict (originator_id, originator_version) do update set topic = excluded.topic, state = excluded.state'
      for (const snapshot of snapshots) {
        await em.execute(
          `insert into ${this.table.sql} (${COLUMNS}) values (?, ?, ?, ?) ${replace}`,
          parametersOf(snapshot),
        )
      }
    })
  }
}
