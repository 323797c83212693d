import { errors as coreErrors, type SqlEm } from '../../src/index.ts'
import type { RecordedEvent } from './domain-event.ts'

/** What a view is made of. */
export interface ProjectionOptions {
  /** Under which name it is tracked. */
  readonly name: string
  /** Another version is another view with its own tables and tracking. Default 1. */
  readonly version?: number
  /** Only events of these topics are handled. Default: of all. */
  readonly topics?: readonly string[]
  /**
   * Takes one event into the view, in the transaction in which it is tracked. What it persists with MikroORM is flushed
   * before the next event. It may be called again for an event whose transaction was rolled back, so whatever it does
   * elsewhere may happen twice.
   *
   * @param em of the view's engine, in the open transaction
   * @throws whatever it likes: the runner stops, and nothing of this event is in the view
   */
  handle(event: RecordedEvent, em: SqlEm): Promise<unknown> | unknown
  /**
   * Makes the tables of the view. Called when it is started for the first time, in the transaction in which that is
   * written down, by one process only. MariaDB and MySQL commit DDL by itself: there several that start at once may call it,
   * so use `if not exists` and `insert ignore`.
   */
  create?(em: SqlEm): Promise<unknown> | unknown
  /** Drops the tables of the view. Called by `drop()` and `reset()` of a runner, in the transaction that forgets the tracking. */
  drop?(em: SqlEm): Promise<unknown> | unknown
}

/** In bytes; the tracking table has room for it, and a version. */
const LONGEST_NAME = 200

/**
 * A view that is made of events: tables that are brought up to date with each of them, exactly once in effect.
 *
 * @example
 * ```ts
 * const tricks = new Projection({
 *   name: 'tricks',
 *   topics: ['Dog.TrickAdded'],
 *   create: em => em.execute('create table tricks (name text primary key, times int not null)'),
 *   drop: em => em.execute('drop table tricks'),
 *   handle: ({ data }, em) =>
 *     em.execute('insert into tricks values (?, 1) on conflict (name) do update set times = tricks.times + 1', [
 *       (data as { trick: string }).trick,
 *     ]),
 * })
 * ```
 */
export class Projection {
  readonly options: ProjectionOptions
  readonly name: string
  readonly version: number
  readonly topics: readonly string[] | undefined

  /** @throws SQLA_ERR_INVALID_OPTION */
  constructor(options: ProjectionOptions) {
    const { name, version = 1, topics, handle } = options
    assertFollowerName(name)
    if (!Number.isSafeInteger(version) || version < 1) {
      throw new coreErrors.SQLA_ERR_INVALID_OPTION('version', 'must be 1, 2, 3, …')
    }
    if (typeof handle !== 'function') {
      throw new coreErrors.SQLA_ERR_INVALID_OPTION('handle', 'must be a function')
    }
    this.options = options
    this.name = name
    this.version = version
    this.topics = topics
  }

  /** The name that it has in the tracking table: `tricks`, `tricks@2`. */
  get trackingName(): string {
    return this.version === 1 ? this.name : `${this.name}@${this.version}`
  }
}

/** @throws SQLA_ERR_INVALID_OPTION when a name cannot be tracked */
export function assertFollowerName(name: unknown): void {
  if (
    typeof name === 'string' &&
    name !== '' &&
    Buffer.byteLength(name) <= LONGEST_NAME &&
    !name.includes('\0')
  )
    return
  throw new coreErrors.SQLA_ERR_INVALID_OPTION('name', `must be a text of 1 to ${LONGEST_NAME} bytes`)
}
