/** What is taken in a copy for an object that is neither plain nor of a type that is copied here. */
export type CopyInstance = (instance: object) => unknown

/**
 * A deep copy of plain objects, arrays, Dates, Maps, Sets and bytes. What is there twice, or contains itself, does so
 * in the copy. `structuredClone` would make plain objects of instances, and refuse functions.
 *
 * @param instance decides about all other objects. Default: the copy shares them.
 */
export function deepCopy<T>(value: T, instance: CopyInstance = shared): T {
  return (isScalar(value) ? value : new Copying(instance).copy(value as object)) as T
}

function shared(instance: object): object {
  return instance
}

function isScalar(value: unknown): boolean {
  return typeof value !== 'object' || value === null
}

class Copying {
  readonly #instance: CopyInstance
  /** Original → copy. */
  readonly #copies = new Map<object, unknown>()

  constructor(instance: CopyInstance) {
    this.#instance = instance
  }

  copy(original: object): unknown {
    if (this.#copies.has(original)) return this.#copies.get(original)
    if (isPlain(original)) return this.#copyPlain(original)
    switch (Object.getPrototypeOf(original)) {
      case Array.prototype: {
        const copy = this.#remember(original, [] as unknown[])
        for (const member of original as unknown[]) copy.push(this.#value(member))
        return copy
      }
      case Map.prototype: {
        const copy = this.#remember(original, new Map())
        for (const [key, value] of original as Map<unknown, unknown>)
          copy.set(this.#value(key), this.#value(value))
        return copy
      }
      case Set.prototype: {
        const copy = this.#remember(original, new Set())
        for (const member of original as Set<unknown>) copy.add(this.#value(member))
        return copy
      }
      case Date.prototype:
        return this.#remember(original, new Date((original as Date).getTime()))
      case Buffer.prototype:
        return this.#remember(original, Buffer.from(original as Buffer))
      case Uint8Array.prototype:
        return this.#remember(original, new Uint8Array(original as Uint8Array))
      default:
        return this.#remember(original, this.#instance(original))
    }
  }

  #value(value: unknown): unknown {
    return isScalar(value) ? value : this.copy(value as object)
  }

  #copyPlain(original: object): object {
    // Its fields are its own from here on, also one that is called __proto__.
    const copy: Record<string, unknown> = this.#remember(original, { ...original })
    for (const key of Object.keys(copy)) {
      const value = copy[key]
      if (typeof value === 'object' && value !== null) copy[key] = this.copy(value)
    }
    return copy
  }

  #remember<C>(original: object, copy: C): C {
    this.#copies.set(original, copy)
    return copy
  }
}

/** Whether an object is one as a literal makes it. */
export function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Sets a field of the object itself, whatever its prototype thinks of the name. */
export function defineField(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true })
}
