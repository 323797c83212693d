import type { SqlEm } from '../../src/index.ts'
import type { Datastore } from './datastore.ts'
import { errors } from './errors.ts'
import { hasTrigger, LOCK_SPACE, LOCK_TRIGGER } from './log-lock.ts'
import { type Dialect, dialectOf } from './recorders/dialect.ts'
import {
  type EventTable,
  type EventTables,
  type EventTablesOptions,
  eventTables,
  type Ordering,
} from './tables.ts'

/** Where the tables are, and how their notifications are numbered. */
export interface EventStorageOptions extends EventTablesOptions {
  /** Default: `'watermark'` on PostgreSQL, `'strict'` elsewhere. */
  readonly ordering?: Ordering
}

/** The triggers of a table of events, by which its ordering is known. */
const TRIGGERS: Record<Ordering, string> = { watermark: LOCK_TRIGGER, strict: 'sqlassist_order' }

/** What PostgreSQL's trigger refuses a transaction with. */
export const WRONG_ISOLATION = 'SQEV1'

/** The table whose one row has the last id, where a sequence would leave gaps. */
export function counterOf(tables: EventTables, em: SqlEm): string {
  const quote = (name: string) => em.getPlatform().quoteIdentifier(name).toString()
  return `${tables.schema === undefined ? '' : `${quote(tables.schema)}.`}${quote(`${tables.events.name}_counter`)}`
}

/** @throws SQLA_ERR_EVENTS_STORAGE for an ordering that the database does not have */
export function orderingOf(em: SqlEm, ordering: Ordering | undefined): Ordering {
  const isPostgres = dialectOf(em) === 'postgresql'
  if (ordering === undefined) return isPostgres ? 'watermark' : 'strict'
  if (ordering !== 'watermark' && ordering !== 'strict') {
    throw new errors.SQLA_ERR_EVENTS_STORAGE(
      `there is no ordering '${ordering}', only 'watermark' and 'strict'`,
    )
  }
  if (ordering === 'watermark' && !isPostgres) {
    throw new errors.SQLA_ERR_EVENTS_STORAGE("only PostgreSQL has the ordering 'watermark'")
  }
  return ordering
}

/**
 * The statements that create the tables, for a migration.
 *
 * @param em tells which database it is
 * @param options the same as the application's
 * @throws SQLA_ERR_EVENTS_STORAGE when a name cannot be one, or the database does not have that ordering
 *
 * @example
 * ```ts
 * export class Events extends Migration {
 *   override up(): void {
 *     for (const statement of eventTableStatements(this.getEntityManager(), { name: 'school' })) this.addSql(statement)
 *   }
 * }
 * ```
 */
export function eventTableStatements(em: SqlEm, options: EventStorageOptions = {}): string[] {
  const tables = eventTables(em, options)
  const ordering = orderingOf(em, options.ordering)
  const statements = tableStatements(em, tables, ordering)
  if (dialectOf(em) === 'postgresql') statements.push(...triggerStatements(em, tables, ordering))
  return statements
}

/**
 * Creates the tables, if they are missing; two processes may do so at once. On MariaDB and MySQL that ends a session's
 * transaction.
 *
 * @param options the same as the application's
 * @throws SQLA_ERR_EVENTS_STORAGE when a name cannot be one, the database does not have that ordering, or the table is
 *   there and was made for the other one
 *
 * @example
 * ```ts
 * await createEventTables(new Datastore(app.sqlAssist.engines.get('writer')), { name: 'school' })
 * ```
 */
export async function createEventTables(
  datastore: Datastore,
  options: EventStorageOptions = {},
): Promise<void> {
  const tables = eventTables(datastore.em, options)
  const ordering = orderingOf(datastore.em, options.ordering)
  await datastore.together(async em => {
    if (dialectOf(em) === 'postgresql') await createInPostgres(em, tables, ordering)
    else for (const statement of tableStatements(em, tables, ordering)) await em.execute(statement)
    await assertOrdering(em, tables, ordering)
  })
}

async function createInPostgres(em: SqlEm, tables: EventTables, ordering: Ordering): Promise<void> {
  // Even `if not exists` fails when two do it at once.
  await em.execute('select pg_advisory_xact_lock(hashtext(?))', [tables.channel])
  const statements = tableStatements(em, tables, ordering)
  for (const [place, table] of [tables.events, tables.snapshots, tables.tracking].entries()) {
    // It needs the right to create even where there is nothing to create.
    if (await isThere(em, table)) continue
    await em.execute(statements[place] as string)
  }
  // A table that is there keeps the ordering that it was made for; one that others have made gets the trigger.
  if ((await orderingOfTable(em, tables.events)) !== undefined) return
  for (const statement of triggerStatements(em, tables, ordering)) await em.execute(statement)
}

/**
 * Checks that a table of events was made for an ordering. A table that is not there yet suits all.
 *
 * @throws SQLA_ERR_EVENTS_STORAGE
 */
export async function assertOrdering(em: SqlEm, tables: EventTables, ordering: Ordering): Promise<void> {
  orderingOf(em, ordering)
  if (dialectOf(em) !== 'postgresql') return
  if (!(await isThere(em, tables.events))) return
  const found = await orderingOfTable(em, tables.events)
  if (found === ordering) return
  throw new errors.SQLA_ERR_EVENTS_STORAGE(
    found === undefined
      ? `table ${tables.events.sql} has no trigger for an ordering; createTables makes one, and eventTableStatements has it for a migration`
      : `table ${tables.events.sql} was made for the ordering '${found}', not '${ordering}'`,
  )
}

/** @returns undefined for a table that something else has made */
async function orderingOfTable(em: SqlEm, events: EventTable): Promise<Ordering | undefined> {
  const [row]: Record<Ordering, boolean>[] = await em.execute(
    `select ${hasTrigger(events, TRIGGERS.strict)} as strict, ${hasTrigger(events, TRIGGERS.watermark)} as watermark`,
  )
  return row?.strict ? 'strict' : row?.watermark ? 'watermark' : undefined
}

async function isThere(em: SqlEm, { sql }: EventTable): Promise<boolean> {
  const [row]: { found: boolean }[] = await em.execute('select to_regclass(?) is not null as found', [sql])
  return row?.found === true
}

interface Types {
  readonly id: string
  /** Of the id where it is given by a trigger. */
  readonly lateId: string
  readonly uuid: string
  readonly name: string
  readonly text: string
  readonly bytes: string
}

const MYSQL_BINARY = 'character set utf8mb4 collate utf8mb4_bin'

const TYPES: Record<Dialect, Types> = {
  postgresql: {
    // As an identity: whoever may insert needs no right on the sequence.
    id: 'bigint generated by default as identity primary key',
    // Negative until COMMIT. Nobody else sees those.
    lateId: 'bigint generated by default as identity (increment by -1 start with -1) primary key',
    uuid: 'uuid',
    name: 'text',
    text: 'text',
    bytes: 'bytea',
  },
  mysql: {
    id: 'bigint not null auto_increment primary key',
    lateId: 'bigint not null auto_increment primary key',
    uuid: 'char(36) character set ascii collate ascii_bin',
    name: `varchar(255) ${MYSQL_BINARY}`,
    text: `text ${MYSQL_BINARY}`,
    bytes: 'longblob',
  },
  sqlite: {
    id: 'integer primary key autoincrement',
    lateId: 'integer primary key autoincrement',
    uuid: 'char(36)',
    name: 'text',
    text: 'text',
    bytes: 'blob',
  },
}

/** Creates what is missing of the tables: events, snapshots and tracking, in this order. */
function tableStatements(em: SqlEm, tables: EventTables, ordering: Ordering): string[] {
  const dialect = dialectOf(em)
  const { id, lateId, uuid, name, text, bytes } = TYPES[dialect]
  const { events, snapshots, tracking } = tables
  const event = `originator_id ${uuid} not null, originator_version bigint not null, topic ${text} not null, state ${bytes} not null`
  const statements = [
    `create table if not exists ${events.sql} (id ${ordering === 'strict' ? lateId : id}, ${event}, unique (originator_id, originator_version))`,
    `create table if not exists ${snapshots.sql} (${event}, primary key (originator_id, originator_version))`,
    `create table if not exists ${tracking.sql} (application_name ${name} not null primary key, notification_id bigint not null)`,
  ]
  if (dialect === 'mysql') {
    const counter = counterOf(tables, em)
    statements.push(
      `create table if not exists ${counter} (one tinyint not null primary key, last bigint not null)`,
      `insert ignore into ${counter} (one, last) select 1, coalesce(max(id), 0) from ${events.sql}`,
    )
  }
  return statements
}

function triggerStatements(em: SqlEm, tables: EventTables, ordering: Ordering): string[] {
  return ordering === 'strict' ? orderStatements(em, tables) : lockStatements(em, tables)
}

function functionName(em: SqlEm, { schema, events }: EventTables, suffix: string): string {
  const quote = (name: string) => em.getPlatform().quoteIdentifier(name).toString()
  return `${schema === undefined ? '' : `${quote(schema)}.`}${quote(`${events.name}_${suffix}`)}`
}

/**
 * What shows that numbers may still come: a shared lock, that no other writer waits for, until the end of the transaction. A
 * trigger before the statement runs before its first number is taken, whoever writes. (PostgreSQL, "Overview of Trigger
 * Behavior": statement-level BEFORE triggers fire before the statement starts to do anything.)
 */
function lockStatements(em: SqlEm, tables: EventTables): string[] {
  const lock = functionName(em, tables, 'lock')
  return [
    // An expression of its own takes a third of the time that `perform` does.
    `create or replace function ${lock}() returns trigger language plpgsql as $sqlassist$
begin
  if pg_advisory_xact_lock_shared(${LOCK_SPACE}, tg_relid::int4) is null then
    return null;
  end if;
  return null;
end
$sqlassist$`,
    `create trigger ${TRIGGERS.watermark} before insert on ${tables.events.sql} for each statement execute function ${lock}()`,
  ]
}

/**
 * What numbers the events of a transaction when it commits. At the end of it, when nothing else is to be locked, it takes
 * the lock that orders the commits, and numbers from there without gaps: rows that a savepoint has undone are not there.
 */
function orderStatements(em: SqlEm, tables: EventTables): string[] {
  const { events } = tables
  const order = functionName(em, tables, 'order')
  const update = (table: string, id: string) =>
    `update ${table} set id = (select greatest(max(id), 0) + 1 from ${table}) where id = ${id}`
  return [
    // A session's plan from when the table was small would read all of it for each event of a large transaction.
    `create or replace function ${order}() returns trigger language plpgsql set enable_seqscan = off as $sqlassist$
begin
  -- An older snapshot would not see the last number.
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = '${WRONG_ISOLATION}', message =
      'events of a table with strict ordering must be recorded in a transaction that is READ COMMITTED';
  end if;
  if pg_advisory_xact_lock(${LOCK_SPACE}, tg_relid::int4) is null or to_regclass('${events.sql}') = tg_relid then
    ${update(events.sql, 'new.id')};
  else
    -- The search path leads elsewhere by now.
    execute format('${update('%1$s', '$1')}', tg_relid::regclass) using new.id;
  end if;
  return null;
end
$sqlassist$`,
    `create constraint trigger ${TRIGGERS.strict} after insert on ${events.sql} deferrable initially deferred
for each row when (new.id < 0) execute function ${order}()`,
  ]
}
