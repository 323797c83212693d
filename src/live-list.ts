/** Where a member stands in its {@link LiveList}; -1 when it does not. */
export const kPlace = Symbol('fastify-sqlassist.place')

/** What can be in a {@link LiveList}: it keeps its place itself, so that leaving costs no search. */
export interface Listed {
  [kPlace]: number
}

/**
 * What is open right now, in no particular order. Not a `Set`: one in which members come and go is copied every few
 * changes, and V8 links each outgrown copy to the next. Once one of them has become old, all that follow survive
 * with their members until the next full collection: it doubled what a request costs.
 */
export class LiveList<T extends Listed> implements Iterable<T> {
  readonly #members: T[] = []

  get size(): number {
    return this.#members.length
  }

  add(member: T): void {
    if (member[kPlace] !== -1) return
    member[kPlace] = this.#members.length
    this.#members.push(member)
  }

  delete(member: T): void {
    const place = member[kPlace]
    if (place === -1) return
    member[kPlace] = -1
    const last = this.#members.pop() as T
    if (last === member) return
    this.#members[place] = last
    last[kPlace] = place
  }

  /** Over those that are in it now, whatever comes or goes meanwhile. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.#members.slice().values()
  }
}
