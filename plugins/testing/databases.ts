import { CompiledQuery } from 'kysely'
import type { Engine } from '../../src/index.ts'
import { errors } from './errors.ts'

/** One database, and the engines that lead to it: to its primary or to a standby of it. */
export interface Database {
  /** The one whose connection all of them share. */
  readonly through: Engine
  readonly engines: readonly Engine[]
}

const WHERE = CompiledQuery.raw(
  "select system_identifier::text || '/' || current_database() as place from pg_control_system()",
)

/**
 * Which engines lead to the same database.
 *
 * @throws SQLA_ERR_TEST_DATABASE
 */
export async function databasesOf(engines: Iterable<Engine>): Promise<Database[]> {
  const all = [...engines]
  for (const { name, dialect } of all) {
    if (dialect !== 'postgresql') throw new errors.SQLA_ERR_TEST_DATABASE(name, dialect)
  }
  await Promise.all(all.map(placeOf))
  const byPlace = Map.groupBy(all, engine => places.get(engine))
  return [...byPlace.values()].map(group => ({
    through:
      group.find(({ joins }) => joins) ?? group.find(({ readOnly }) => !readOnly) ?? (group[0] as Engine),
    engines: group,
  }))
}

/** Where engines lead does not change, and it is asked before every test. */
const places = new WeakMap<Engine, string>()

async function placeOf(engine: Engine): Promise<string> {
  const known = places.get(engine)
  if (known !== undefined) return known
  const lease = await engine.pool.acquire()
  try {
    const { rows } = await lease.execute<{ place: string }>(WHERE)
    const { place } = rows[0] as { place: string }
    places.set(engine, place)
    return place
  } finally {
    lease.release()
  }
}
