import type { SqlEm } from '../../src/index.ts'
import { errors } from './errors.ts'
import { keepCurrent, lockForIdentities, materialisedSegments, removeFromSegments } from './membership.ts'
import type { Identity, Traits } from './segment.ts'
import { IDENTITY_COLUMNS, type IdentityRow, identityOf, type SegmentsPlace } from './segment-query.ts'
import { problemOfJson, problemOfKey, problemOfText } from './storable.ts'
import type { StoredIdentity } from './stored-identity.ts'
import { stringifyTraits } from './traits-json.ts'

/** How identities are saved. */
export interface UpsertIdentityOptions {
  /**
   * Whether traits that are not given stay. Default false: the identity has the traits that are given and no others. A trait
   * that is null or undefined is deleted.
   */
  readonly merge?: boolean
}

/** How many rows one statement saves. */
const ROWS_AT_ONCE = 1_000

/**
 * Saves identities, and keeps the segments that are materialised current, in the transaction of `em`.
 *
 * @returns the ids of the rows, in the order of the identities
 * @throws SQLA_ERR_IDENTITY_INVALID
 */
export async function upsertIdentities(
  em: SqlEm,
  place: SegmentsPlace,
  identities: readonly Identity[],
  { merge = false }: UpsertIdentityOptions = {},
): Promise<string[]> {
  for (const identity of identities) assertStorable(identity)
  await lockForIdentities(em, place)
  const segments = await materialisedSegments(em, place)
  const ids = new Map<string, string>()
  for (const round of roundsOf(identities)) {
    for (let at = 0; at < round.length; at += ROWS_AT_ONCE) {
      const rows = await upsertSome(em, place, round.slice(at, at + ROWS_AT_ONCE), merge)
      for (const { identifier, id } of rows) ids.set(identifier, String(id))
      if (segments.length > 0) await keepCurrent(em, place, segments, rows.map(identityOf))
    }
  }
  return identities.map(({ identifier }) => ids.get(identifier) ?? '')
}

/** @returns whether there was one */
export async function deleteIdentity(em: SqlEm, place: SegmentsPlace, identifier: string): Promise<boolean> {
  const problem = problemOfKey(identifier, 'the identifier')
  if (problem !== undefined) throw new errors.SQLA_ERR_IDENTITY_INVALID(shown(identifier), problem)
  const { environment, tables } = place
  await lockForIdentities(em, place)
  const [row]: { id: string }[] = await em.execute(
    `delete from ${tables.identities} where environment_id = ? and identifier = ? returning id`,
    [environment.key, identifier],
  )
  if (row === undefined) return false
  await removeFromSegments(em, place, await materialisedSegments(em, place), row.id)
  return true
}

/** @returns the identity of the table; undefined when there is none */
export async function findIdentity(
  em: SqlEm,
  { environment, tables }: SegmentsPlace,
  identifier: string,
): Promise<StoredIdentity | undefined> {
  if (problemOfKey(identifier, '') !== undefined) return undefined
  const [row]: IdentityRow[] = await em.execute(
    `select ${IDENTITY_COLUMNS} from ${tables.identities} i where i.environment_id = ? and i.identifier = ?`,
    [environment.key, identifier],
  )
  return row === undefined ? undefined : identityOf(row)
}

function assertStorable(identity: Identity): void {
  const { identifier, key, traits } = identity ?? {}
  const problem =
    (typeof identifier === 'string'
      ? problemOfKey(identifier, 'the identifier')
      : 'it needs an identifier, a text') ??
    (key == null || typeof key === 'string'
      ? problemOfText(key ?? '', 'the key')
      : 'the key must be a text') ??
    problemOfTraits(traits)
  if (problem !== undefined) throw new errors.SQLA_ERR_IDENTITY_INVALID(shown(identifier), problem)
}

function problemOfTraits(traits: Identity['traits']): string | undefined {
  if (traits == null) return undefined
  if (typeof traits !== 'object' || Array.isArray(traits)) return 'traits must be an object'
  for (const [name, value] of Object.entries(traits)) {
    const trait = `trait ${JSON.stringify(name)}`
    const problem = problemOfText(name, `the name of ${trait}`) ?? problemOfJson(value, trait)
    if (problem !== undefined) return problem
  }
  return undefined
}

function shown(identifier: unknown): string {
  return typeof identifier === 'string' ? identifier.slice(0, 100) : String(identifier)
}

/**
 * A statement saves each row once; who is given twice is saved in two rounds, so that the later one wins. Every round is in
 * one order: two transactions that save the same identities do not wait for each other in a circle.
 */
function roundsOf(identities: readonly Identity[]): Identity[][] {
  const rounds: Identity[][] = []
  const seen = new Map<string, number>()
  for (const identity of identities) {
    const round = seen.get(identity.identifier) ?? 0
    seen.set(identity.identifier, round + 1)
    rounds[round] ??= []
    rounds[round].push(identity)
  }
  for (const round of rounds) round.sort((a, b) => (a.identifier < b.identifier ? -1 : 1))
  return rounds
}

async function upsertSome(
  em: SqlEm,
  { environment, tables }: SegmentsPlace,
  identities: readonly Identity[],
  merge: boolean,
): Promise<IdentityRow[]> {
  const key = keyClause(identities)
  const traits = merge ? mergeClause(identities) : { sql: 'excluded.traits', params: [] }
  return em.execute(
    `insert into ${tables.identities} as i (environment_id, identifier, identity_key, traits) ` +
      'select ?, v.identifier, coalesce(v.identity_key, ? || v.identifier), v.traits ' +
      'from jsonb_to_recordset(?::jsonb) as v (identifier text, identity_key text, traits jsonb) ' +
      `on conflict (environment_id, identifier) do update set identity_key = ${key.sql}, traits = ${traits.sql} ` +
      `returning ${IDENTITY_COLUMNS}`,
    [environment.key, `${environment.key}_`, recordsOf(identities), ...key.params, ...traits.params],
  )
}

/** Traits as the caller gave them: JSON.stringify would not know of 1.0. */
function recordsOf(identities: readonly Identity[]): string {
  const records = identities.map(
    ({ identifier, key, traits }) =>
      `{"identifier":${JSON.stringify(identifier)},"identity_key":${JSON.stringify(key ?? null)},"traits":${stringifyTraits(given(traits))}}`,
  )
  return `[${records.join(',')}]`
}

function given(traits: Identity['traits']): Traits {
  return Object.fromEntries(Object.entries(traits ?? {}).filter(([, value]) => value != null))
}

interface Clause {
  readonly sql: string
  readonly params: readonly unknown[]
}

/** Whoever is saved without a key keeps the one that there is: another one would put him into other percentages. */
function keyClause(identities: readonly Identity[]): Clause {
  const keyless = identities.filter(({ key }) => key == null).map(({ identifier }) => identifier)
  if (keyless.length === 0) return { sql: 'excluded.identity_key', params: [] }
  if (keyless.length === identities.length) return { sql: 'i.identity_key', params: [] }
  return {
    sql: 'case when excluded.identifier in (select jsonb_array_elements_text(?::jsonb)) then i.identity_key else excluded.identity_key end',
    params: [JSON.stringify(keyless)],
  }
}

/** What is there and what is given, without what is given as null. */
function mergeClause(identities: readonly Identity[]): Clause {
  const removed = identities.flatMap(({ identifier, traits }) => {
    const names = Object.entries(traits ?? {}).filter(([, value]) => value == null)
    return names.length === 0 ? [] : [[identifier, names.map(([name]) => name)] as const]
  })
  if (removed.length === 0) return { sql: 'i.traits || excluded.traits', params: [] }
  return {
    sql: '(i.traits || excluded.traits) - array(select jsonb_array_elements_text(?::jsonb -> excluded.identifier))',
    params: [JSON.stringify(Object.fromEntries(removed))],
  }
}
