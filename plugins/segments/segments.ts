import type { SqlEm } from '../../src/index.ts'
import {
  engineAccess,
  type RequestParts,
  requestAccess,
  type SegmentsAccess,
  type SegmentsParts,
  sessionAccess,
} from './access.ts'
import { type AdviseOptions, adviseIndexes, type SegmentAdvice } from './advise.ts'
import { count, countMany, type SegmentCount } from './count.ts'
import { segmentsFound } from './diagnostics.ts'
import { type EstimateOptions, estimate, type SegmentEstimate } from './estimate.ts'
import { explain, type SegmentExplanation } from './explain.ts'
import { deleteIdentity, findIdentity, type UpsertIdentityOptions, upsertIdentities } from './identities.ts'
import { type MembersOptions, type MembersPage, members, membersOf } from './members.ts'
import type { SegmentOrKey } from './resolve.ts'
import { sample } from './sample.ts'
import { deleteSegment, dematerialise, materialise, saveSegment } from './saved-segments.ts'
import type { Identity, SegmentContext } from './segment.ts'
import { identityOfEntries, type SegmentEntries } from './segment-registry.ts'
import type { StoredIdentity } from './stored-identity.ts'

/**
 * Identities and segments: who there is, who is in which segment, how many. Of `app.segments` every call is a transaction of
 * its own; of `request.segments` it is a part of the request's transaction.
 */
export class Segments {
  readonly #parts: SegmentsParts
  readonly #access: SegmentsAccess

  constructor(parts: SegmentsParts, access: SegmentsAccess) {
    this.#parts = parts
    this.#access = access
  }

  /**
   * Saves who somebody is. The segments that are materialised are kept current in the same transaction.
   *
   * @param options `merge`: traits that are not given stay; without it they are gone. A trait that is null is deleted
   * @returns the id of the row
   * @throws SQLA_ERR_IDENTITY_INVALID (400): it names the trait that cannot be stored
   *
   * @example
   * ```ts
   * await request.segments.upsertIdentity({ identifier: 'ada', traits: { country: 'nz', age: 47 } })
   * await request.segments.upsertIdentity({ identifier: 'ada', traits: { age: null, plan: 'pro' } }, { merge: true })
   * ```
   */
  async upsertIdentity(identity: Identity, options: UpsertIdentityOptions = {}): Promise<string> {
    const [id = ''] = await this.upsertIdentities([identity], options)
    return id
  }

  /**
   * Saves many identities at once: all of them or none. Of one that is given twice, the later one wins.
   *
   * @returns the ids of the rows, in the same order
   * @throws SQLA_ERR_IDENTITY_INVALID (400)
   */
  upsertIdentities(identities: readonly Identity[], options: UpsertIdentityOptions = {}): Promise<string[]> {
    return this.#access.write(em => upsertIdentities(em, this.#parts.source, identities, options))
  }

  /** Deletes somebody, also from the segments that are materialised. @returns whether there was one */
  deleteIdentity(identifier: string): Promise<boolean> {
    return this.#access.write(em => deleteIdentity(em, this.#parts.source, identifier))
  }

  /** @returns the identity as it is stored; undefined when there is none */
  findIdentity(identifier: string): Promise<StoredIdentity | undefined> {
    return this.#access.read(em => findIdentity(em, this.#parts.source, identifier))
  }

  /**
   * Saves a segment, for all processes. One that is materialised is filled anew in the same transaction.
   *
   * @throws SQLA_ERR_SEGMENT_INVALID (400): it names the condition
   */
  async saveSegment(segment: SegmentContext): Promise<void> {
    await this.#access.write(em => saveSegment(em, this.#parts.source, segment))
    await this.#access.changed()
  }

  /** @returns whether there was one */
  async deleteSegment(key: string): Promise<boolean> {
    const isDeleted = await this.#access.write(em => deleteSegment(em, this.#parts.source, key))
    if (isDeleted) await this.#access.changed()
    return isDeleted
  }

  /** The segments that this process knows: first those that are defined in code, then those that were saved, by key. */
  segmentList(): SegmentContext[] {
    return this.#parts.registry.list()
  }

  /** A segment that this process knows. */
  get(key: string): SegmentContext | undefined {
    return this.#parts.registry.get(key)
  }

  /**
   * Whether somebody is in a segment, for the option `isInSegment` of the flags. Synchronous, and it never throws: a segment
   * that does not exist has nobody in it.
   *
   * @param entries `identifier` and `key` are the identity's; all entries are its traits
   */
  readonly isInSegment = (key: string, entries: SegmentEntries = {}): boolean =>
    this.#parts.registry.isIn(key, identityOfEntries(entries))

  /**
   * How many identities are in a segment, exactly. That of a key whose members are written down is read from there.
   *
   * @throws SQLA_ERR_SEGMENT_UNKNOWN (404), SQLA_ERR_SEGMENT_INVALID (400)
   */
  count(segment: SegmentOrKey): Promise<number> {
    return this.#access.read(em => count(em, this.#parts.source, segment))
  }

  /**
   * How many are in each of several segments, exactly, in one scan of the table.
   *
   * @returns in the same order: the count, or what is wrong with that segment
   */
  countMany(segments: readonly SegmentOrKey[]): Promise<SegmentCount[]> {
    return this.#access.read(em => countMany(em, this.#parts.source, segments))
  }

  /**
   * A page of who is in a segment, in the order of the rows' ids. Every page costs the same.
   *
   * @param options `limit`: 100 by default; `after`: `next` of the page before
   */
  members(segment: SegmentOrKey, options: MembersOptions = {}): Promise<MembersPage> {
    return this.#access.read(em => members(em, this.#parts.source, segment, options))
  }

  /** Some members, each with the same chance. It looks at all of them. */
  sample(segment: SegmentOrKey, size: number): Promise<StoredIdentity[]> {
    return this.#access.read(em => sample(em, this.#parts.source, segment, size))
  }

  /** How many are in a segment, roughly and quickly, and how far that may be off. A small table is counted. */
  estimate(segment: SegmentOrKey, options: EstimateOptions = {}): Promise<SegmentEstimate> {
    return this.#access.read(em => estimate(em, this.#parts.source, segment, options))
  }

  /** The query that counts a segment, and PostgreSQL's plan for it. Nothing is counted. */
  explain(segment: SegmentOrKey): Promise<SegmentExplanation> {
    return this.#access.read(em => explain(em, this.#parts.source, segment))
  }

  /**
   * Which indexes and statistics would make counting these segments cheaper. They are tried on a temporary copy of a part of
   * the table, in a transaction of its own that is rolled back, so the user must be allowed to make temporary tables.
   *
   * @throws SQLA_ERR_SEGMENT_INVALID, SQLA_ERR_SEGMENT_UNKNOWN
   */
  adviseIndexes(segments: readonly SegmentOrKey[], options: AdviseOptions = {}): Promise<SegmentAdvice> {
    const { engine, source } = this.#parts
    return adviseIndexes(engine.orm.em.fork(), source, segments, options)
  }

  /**
   * Writes down who is in a saved segment, and keeps that current with every identity that is saved or deleted here. What is
   * given as a segment is saved first. Meanwhile whoever saves identities waits.
   *
   * @returns how many are in it
   * @throws SQLA_ERR_SEGMENT_UNKNOWN, SQLA_ERR_SEGMENT_INVALID
   */
  async materialise(segment: SegmentOrKey): Promise<number> {
    const { source } = this.#parts
    const size = await this.#access.write(async em => {
      if (typeof segment !== 'string') await saveSegment(em, source, segment)
      return materialise(em, source, typeof segment === 'string' ? segment : segment.key)
    })
    await this.#access.changed()
    return size
  }

  /** Ends {@link materialise}. @returns whether it was materialised */
  dematerialise(key: string): Promise<boolean> {
    return this.#access.write(em => dematerialise(em, this.#parts.source, key))
  }

  /**
   * A page of who is in a segment that is materialised: two index lookups for each of them, whatever the segment asks.
   *
   * @throws SQLA_ERR_SEGMENT_NOT_MATERIALISED, SQLA_ERR_SEGMENT_UNKNOWN (404)
   */
  membersOf(key: string, options: MembersOptions = {}): Promise<MembersPage> {
    return this.#access.read(em => membersOf(em, this.#parts.source, key, options))
  }
}

/** `app.segments` */
export class AppSegments extends Segments {
  readonly #parts: SegmentsParts

  constructor(parts: SegmentsParts) {
    super(parts, engineAccess(parts))
    this.#parts = parts
  }

  /** Creates the tables, if they are missing; two processes may do so at once. */
  async createTables(): Promise<void> {
    const { engine, source } = this.#parts
    await engine.orm.em.fork().transactional(async em => {
      await (em as SqlEm).execute('select pg_advisory_xact_lock(hashtext(?))', [source.tables.channel])
      for (const statement of source.tables.statements) await (em as SqlEm).execute(statement)
    })
  }

  /** Reads the saved segments now, rather than by `ttl`. @throws what the database throws; what is known stays */
  sync(): Promise<void> {
    return this.#parts.registry.sync()
  }

  /**
   * The same on a session, for jobs: what is saved is committed or rolled back with it.
   *
   * @example
   * ```ts
   * await app.sqlAssist.run(async db => {
   *   await app.segments.on(db.writer).upsertIdentities(people)
   * })
   * ```
   */
  on(session: SqlEm): Segments {
    return new Segments(
      this.#parts,
      sessionAccess(session, session, async () => {}),
    )
  }
}

/** `request.segments` */
export class RequestSegments extends Segments {
  readonly #parts: RequestParts
  #identity: { readonly value: Identity | undefined } | undefined
  /** For diagnostics: the segments that the sender was found to be in. */
  #found: Set<string> | undefined

  constructor(parts: RequestParts) {
    super(parts, requestAccess(parts))
    this.#parts = parts
  }

  /** Who sends the request, as the plugin's option `identity` says; undefined when that is not known. */
  get identity(): Identity | undefined {
    const { identity, request } = this.#parts
    this.#identity ??= { value: identity?.(request) }
    return this.#identity.value
  }

  /**
   * Whether somebody is in a segment. Synchronous: the database is not asked, and traits are those that are given.
   *
   * @param identity default: who sends the request; nobody is in no segment that asks about identities
   */
  isIn(key: string, identity: Identity | undefined = this.identity): boolean {
    const is = this.#parts.registry.isIn(key, identity)
    if (segmentsFound.hasSubscribers) this.#tell(identity, is ? [key] : [])
    return is
  }

  /** The keys of all segments that somebody is in. */
  keys(identity: Identity | undefined = this.identity): string[] {
    const keys = this.#parts.registry.keysOf(identity)
    if (segmentsFound.hasSubscribers) this.#tell(identity, keys)
    return keys
  }

  /** Only of the sender: others are no matter of the request. */
  #tell(identity: Identity | undefined, found: readonly string[]): void {
    if (this.#identity === undefined || identity !== this.#identity.value) return
    const { engine, request } = this.#parts
    this.#found = new Set([...(this.#found ?? []), ...found])
    segmentsFound.publish({ source: engine.source, request, keys: [...this.#found] })
  }
}
