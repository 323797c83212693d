import type { SessionMessage } from '../../src/index.ts'

/** What a session holds at a moment. */
export interface Inspection {
  /** How many entities it knows. */
  readonly identityMap: number
  /** What a flush would do: `create User`, `update Note (3)`. */
  readonly unflushed: readonly string[]
}

/** Comparing more entities with what was loaded takes too long. */
const MOST_COMPARED = 1_000
const MOST_NAMED = 20

type Session = SessionMessage['session']
type UnitOfWork = ReturnType<Session['getUnitOfWork']>
type Comparator = ReturnType<Session['getComparator']>

/** What we use of the helper that MikroORM ties to every entity. */
interface Managed {
  readonly __meta?: {
    readonly className: string
    readonly class: never
    readonly readonly?: boolean
    readonly relations: readonly { readonly name: string; readonly kind: string }[]
  }
  readonly __helper?: { readonly __originalEntityData?: object; readonly __initialized: boolean }
}

/**
 * Looks at a session's unit of work, and changes nothing in it: `computeChangeSets` would run the application's `onCreate` and
 * `onUpdate`, and take the changes for flushed.
 *
 * @returns undefined when it cannot be looked at
 */
export function inspectSession(session: Session): Inspection | undefined {
  try {
    const unit = session.getUnitOfWork(false)
    const entities = new Set<object>(unit.getIdentityMap().values())
    return { identityMap: entities.size, unflushed: pendingOf(unit, entities, session.getComparator()) }
  } catch {
    return undefined
  }
}

function pendingOf(unit: UnitOfWork, entities: ReadonlySet<object>, comparator: Comparator): string[] {
  const removed = new Set<Managed>([...unit.getRemoveStack(), ...unit.getOrphanRemoveStack()])
  const created = new Set<Managed>(unit.getPersistStack())
  const updated = new Set<Managed>()
  let compared = 0
  for (const entity of entities as Set<Managed>) {
    if (compared++ >= MOST_COMPARED) break
    if (hasChanged(entity, comparator)) updated.add(entity)
    for (const [kind, collection] of dirtyCollections(entity)) {
      if (kind === 'm:n') updated.add(entity)
      else for (const item of collection.getItems(false)) created.add(item)
    }
  }
  const counts = new Map<string, number>()
  const count = (what: string, entity: Managed): void => {
    const name = `${what} ${entity.__meta?.className ?? 'entity'}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  for (const entity of created) if (isNew(entity) && !removed.has(entity)) count('create', entity)
  for (const entity of updated) if (!removed.has(entity)) count('update', entity)
  for (const entity of removed) count('delete', entity)
  return [...counts].slice(0, MOST_NAMED).map(([name, times]) => (times === 1 ? name : `${name} (${times})`))
}

function isNew(entity: Managed): boolean {
  return entity.__helper?.__originalEntityData === undefined
}

function hasChanged(entity: Managed, comparator: Comparator): boolean {
  const { __meta: meta, __helper: helper } = entity
  const original = helper?.__originalEntityData
  if (meta === undefined || original === undefined || !helper?.__initialized || meta.readonly) return false
  try {
    return !comparator.matching(meta.class, original as never, comparator.prepareEntity(entity) as never)
  } catch {
    // A custom type of the application cannot say what would be in the database.
    return false
  }
}

/** What we use of a MikroORM collection. */
interface Items {
  isDirty(): boolean
  getItems(check: boolean): Managed[]
}

function dirtyCollections(entity: Managed): [kind: string, collection: Items][] {
  const found: [string, Items][] = []
  for (const { name, kind } of entity.__meta?.relations ?? []) {
    if (kind !== '1:m' && kind !== 'm:n') continue
    const collection = (entity as Record<string, unknown>)[name] as Items | undefined
    if (collection?.isDirty?.()) found.push([kind, collection])
  }
  return found
}
