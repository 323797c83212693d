import type { SqlEm } from '../../src/index.ts'
import { errors } from './errors.ts'
import { clear, fill, lockAllIdentities, lockDefinitions } from './membership.ts'
import type { SegmentContext } from './segment.ts'
import type { SegmentsPlace } from './segment-query.ts'
import { problemOfJson, problemOfKey, problemOfText } from './storable.ts'
import { validateSegment } from './validate.ts'

// The table of the segments that were saved. Who changes it tells the other processes, when that is committed.

/** A segment as it was saved. */
export interface SavedSegment {
  readonly segment: SegmentContext
  /** How often it was saved. */
  readonly version: number
  /** Whether the table of members has its members. */
  readonly materialised: boolean
}

interface Row {
  readonly data: string
  readonly version: number
  readonly materialised: boolean
}

const COLUMNS = 'data::text as data, version, materialised'

function savedOf({ data, version, materialised }: Row): SavedSegment {
  return { segment: JSON.parse(data) as SegmentContext, version, materialised }
}

export async function listSaved(em: SqlEm, { environment, tables }: SegmentsPlace): Promise<SavedSegment[]> {
  const rows: Row[] = await em.execute(
    `select ${COLUMNS} from ${tables.segments} where environment_id = ? order by key`,
    [environment.key],
  )
  return rows.map(savedOf)
}

export async function findSaved(
  em: SqlEm,
  place: SegmentsPlace,
  key: string,
): Promise<SavedSegment | undefined> {
  return (await findSavedOf(em, place, [key])).get(key)
}

/** @returns key → segment, of those that there are */
export async function findSavedOf(
  em: SqlEm,
  { environment, tables }: SegmentsPlace,
  keys: readonly string[],
): Promise<Map<string, SavedSegment>> {
  const storable = keys.filter(key => problemOfText(key, '') === undefined)
  if (storable.length === 0) return new Map()
  const rows: Row[] = await em.execute(
    `select ${COLUMNS} from ${tables.segments} where environment_id = ? and key in (select jsonb_array_elements_text(?::jsonb))`,
    [environment.key, JSON.stringify(storable)],
  )
  return new Map(rows.map(savedOf).map(saved => [saved.segment.key, saved]))
}

/**
 * Saves a segment; one that is materialised is filled anew in the same transaction.
 *
 * @throws SQLA_ERR_SEGMENT_INVALID
 */
export async function saveSegment(
  em: SqlEm,
  place: SegmentsPlace,
  segment: SegmentContext,
): Promise<SavedSegment> {
  assertSaveable(segment)
  const { environment, tables } = place
  await lockDefinitions(em, place)
  const before = await findSaved(em, place, segment.key)
  if (before?.materialised) await lockAllIdentities(em, place)
  const [row]: Row[] = await em.execute(
    `insert into ${tables.segments} as s (environment_id, key, name, data, version) values (?, ?, ?, ?::jsonb, 1) ` +
      `on conflict (environment_id, key) do update set name = excluded.name, data = excluded.data, version = s.version + 1 ` +
      `returning ${COLUMNS}`,
    [environment.key, segment.key, segment.name, JSON.stringify(segment)],
  )
  const saved = savedOf(row as Row)
  if (saved.materialised) await fill(em, place, saved.segment)
  await announce(em, place)
  return saved
}

/** @returns whether there was one */
export async function deleteSegment(em: SqlEm, place: SegmentsPlace, key: string): Promise<boolean> {
  const { environment, tables } = place
  await lockDefinitions(em, place)
  const before = await findSaved(em, place, key)
  if (before === undefined) return false
  if (before.materialised) {
    await lockAllIdentities(em, place)
    await clear(em, place, key)
  }
  await em.execute(`delete from ${tables.segments} where environment_id = ? and key = ?`, [
    environment.key,
    key,
  ])
  await announce(em, place)
  return true
}

/**
 * Writes down who is in a saved segment, and from now on keeps that current.
 *
 * @returns how many are in it
 * @throws SQLA_ERR_SEGMENT_UNKNOWN
 */
export async function materialise(em: SqlEm, place: SegmentsPlace, key: string): Promise<number> {
  await lockDefinitions(em, place)
  const saved = await findSaved(em, place, key)
  if (saved === undefined) throw new errors.SQLA_ERR_SEGMENT_UNKNOWN(key)
  await lockAllIdentities(em, place)
  await setMaterialised(em, place, key, true)
  return fill(em, place, saved.segment)
}

/** @returns whether it was materialised */
export async function dematerialise(em: SqlEm, place: SegmentsPlace, key: string): Promise<boolean> {
  await lockDefinitions(em, place)
  const saved = await findSaved(em, place, key)
  if (!saved?.materialised) return false
  await lockAllIdentities(em, place)
  await setMaterialised(em, place, key, false)
  await clear(em, place, key)
  return true
}

async function setMaterialised(
  em: SqlEm,
  place: SegmentsPlace,
  key: string,
  materialised: boolean,
): Promise<void> {
  const { environment, tables } = place
  await em.execute(`update ${tables.segments} set materialised = ? where environment_id = ? and key = ?`, [
    materialised,
    environment.key,
    key,
  ])
  await announce(em, place)
}

async function announce(em: SqlEm, { environment, tables }: SegmentsPlace): Promise<void> {
  // The payload of two environments differs, or PostgreSQL would send one of two notifications of a transaction.
  await em.execute('select pg_notify(?, ?)', [tables.channel, environment.key.slice(0, 1_000)])
}

/** @throws SQLA_ERR_SEGMENT_INVALID */
export function assertSaveable(segment: SegmentContext): void {
  validateSegment(segment)
  const problem = problemOfKey(segment.key, 'its key') ?? problemOfJson(segment, 'it')
  if (problem !== undefined) throw new errors.SQLA_ERR_SEGMENT_INVALID(segment.key, problem, '')
}
