/** The newest entries by id, of each kind as many as `limit`: jobs that run every second do not push out the requests. */
export class Ring<E extends { readonly id: number; readonly kind: string }> {
  readonly limit: number
  /** In the order in which they came. */
  readonly #entries = new Map<number, E>()
  /** The ids of each kind, the oldest first. */
  readonly #ids = new Map<string, number[]>()

  constructor(limit: number) {
    this.limit = limit
  }

  add(entry: E): void {
    this.#entries.set(entry.id, entry)
    const ids = this.#ids.get(entry.kind) ?? []
    this.#ids.set(entry.kind, ids)
    ids.push(entry.id)
    if (ids.length > this.limit) this.#entries.delete(ids.shift() as number)
  }

  get(id: number): E | undefined {
    return this.#entries.get(id)
  }

  /** Newest first. */
  list(): E[] {
    return [...this.#entries.values()].reverse()
  }

  clear(): void {
    this.#entries.clear()
    this.#ids.clear()
  }
}
