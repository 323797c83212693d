/**
 * What is known of other people's objects, kept on them under a symbol of its own: that is gone with them. A WeakMap says the same,
 * and for objects that live as short as a request it costs the garbage collector more than all that is recorded.
 */
export class Marks<K extends object, V> {
  readonly #key = Symbol('fastify-sqlassist.toolbar')

  get(object: K): V | undefined {
    return (object as Record<symbol, V | undefined>)[this.#key]
  }

  set(object: K, value: V): void {
    ;(object as Record<symbol, V>)[this.#key] = value
  }
}
