import { errors } from '../../src/index.ts'
import { defineField, isPlain } from './copy.ts'
import { builtInTranscodings, type Transcoding } from './transcodings.ts'

/** What marks an object that stands for something else. The Python package eventsourcing uses the same two words. */
const TYPE = '_type_'
const DATA = '_data_'
/** Data that is deeper is refused: reading it would need too much of the stack. */
const DEEPEST = 1_000

/** Must throw: a value cannot be stored. */
export type RefuseValue = (path: string, reason: string, cause?: unknown) => never

/** Must throw: what is stored cannot be read. */
export type RefuseText = (reason: string, cause?: unknown) => never

/** Of a field or a member. Undefined for what stands for an instance: it is where the instance is. */
type Key = string | number | undefined

/** An object that is being written: which value it is, and where it is. For error messages, and to find cycles. */
interface Place {
  readonly value: object
  readonly key: Key
  readonly parent: Place | undefined
  readonly depth: number
}

/** A plain object with a field that is called as the mark is: its entries. */
const lookalike: Transcoding<object, [string, unknown][]> = {
  name: 'object',
  // Whoever writes a plain object looks for the field.
  is: (_value): _value is object => false,
  encode: object => Object.entries(object).filter(([, value]) => value !== undefined),
  decode: entries => {
    const object = {}
    for (const [key, value] of entries) defineField(object, key, value)
    return object
  },
}

/**
 * Writes values as JSON, also those that JSON does not know: a Date becomes
 * `{ "_type_": "date", "_data_": "2026-01-31T12:00:00.000Z" }`. An object that only looks like one is told apart.
 */
export class Transcoder {
  readonly #transcodings: readonly Transcoding[]
  readonly #byName: ReadonlyMap<unknown, Transcoding>

  /**
   * @param transcodings asked before those that are built in
   * @throws SQLA_ERR_INVALID_OPTION when two have the same name
   */
  constructor(transcodings: readonly Transcoding[] = []) {
    this.#transcodings = [...transcodings, ...builtInTranscodings, lookalike]
    this.#byName = new Map(this.#transcodings.map(transcoding => [transcoding.name, transcoding]))
    if (this.#byName.size < this.#transcodings.length) {
      const taken = [...builtInTranscodings, lookalike].map(({ name }) => `'${name}'`).join(', ')
      throw new errors.SQLA_ERR_INVALID_OPTION('transcodings', `need names of their own, none of ${taken}`)
    }
  }

  /** The transcoding that knows a value that JSON does not know. */
  find(value: unknown): Transcoding | undefined {
    return this.#transcodings.find(transcoding => transcoding.is(value))
  }

  /** @returns JSON; undefined for undefined */
  stringify(value: unknown, refuse: RefuseValue): string | undefined {
    return value === undefined
      ? undefined
      : JSON.stringify(new Encoding(this, refuse).encode(value, 'data', undefined))
  }

  /** Whether there is anything in a JSON text to {@link revive}. Nearly always there is not. */
  static isMarked(text: string): boolean {
    // Inside of a text of the data, its quotes would have backslashes before them.
    return text.includes(`"${TYPE}":`)
  }

  /** Makes values again of what `JSON.parse` has made of such a text, in place. */
  revive(plain: unknown, refuse: RefuseText): unknown {
    if (typeof plain !== 'object' || plain === null) return plain
    if (Array.isArray(plain)) {
      for (let index = 0; index < plain.length; index++) plain[index] = this.revive(plain[index], refuse)
      return plain
    }
    // Where a field is called __proto__, it is one of the object's own here: JSON.parse has made it.
    const object = plain as Record<string, unknown>
    for (const key of Object.keys(object)) {
      const value = object[key]
      if (typeof value === 'object' && value !== null) object[key] = this.revive(value, refuse)
    }
    return Object.hasOwn(object, TYPE) ? this.#decode(object[TYPE], object[DATA], refuse) : object
  }

  #decode(name: unknown, plain: unknown, refuse: RefuseText): unknown {
    const transcoding = this.#byName.get(name)
    if (transcoding === undefined) {
      return refuse(
        `there is no transcoding named ${typeof name === 'string' ? `'${name}'` : 'as it is marked'}`,
      )
    }
    try {
      return transcoding.decode(plain)
    } catch (cause) {
      // What JavaScript itself throws quotes the data.
      const isOurs = builtInTranscodings.includes(transcoding) || transcoding === lookalike
      return refuse(`the transcoding '${name}' does not understand it`, isOurs ? undefined : cause)
    }
  }
}

/** Writes one value. */
class Encoding {
  readonly #transcoder: Transcoder
  readonly #refuse: RefuseValue

  constructor(transcoder: Transcoder, refuse: RefuseValue) {
    this.#transcoder = transcoder
    this.#refuse = refuse
  }

  /** The value itself where JSON can hold it as it is. Callers compare: most data is written without a copy. */
  encode(value: unknown, key: Key, parent: Place | undefined): unknown {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value
      case 'number':
        return Number.isFinite(value) && !Object.is(value, -0) ? value : this.#mark(value, key, parent)
      case 'object':
        return value === null ? null : this.#encodeReference(value, key, parent)
      default:
        return this.#mark(value, key, parent)
    }
  }

  #encodeReference(value: object, key: Key, parent: Place | undefined): object {
    const place: Place = { value, key, parent, depth: (parent?.depth ?? 0) + 1 }
    if (place.depth > DEEPEST) this.#refuse('data', `is more than ${DEEPEST} objects deep`)
    for (let outer = parent; outer !== undefined; outer = outer.parent) {
      if (outer.value === value) this.#refuse(pathTo(key, parent), 'contains itself')
    }
    if (Object.getPrototypeOf(value) === Array.prototype) return this.#encodeArray(value as unknown[], place)
    if (isPlain(value)) return this.#encodeObject(value as Record<string, unknown>, place)
    return this.#mark(value, key, place)
  }

  #encodeArray(array: unknown[], place: Place): unknown[] {
    let copy: unknown[] | undefined
    for (let index = 0; index < array.length; index++) {
      const value = array[index]
      const encoded = this.encode(value, index, place)
      if (encoded === value) continue
      copy ??= [...array]
      copy[index] = encoded
    }
    return copy ?? array
  }

  #encodeObject(object: Record<string, unknown>, place: Place): object {
    let copy: Record<string, unknown> | undefined
    let looksMarked = false
    for (const key of Object.keys(object)) {
      const value = object[key]
      if (value === undefined) continue
      if (key === TYPE) looksMarked = true
      const encoded = this.encode(value, key, place)
      if (encoded === value) continue
      // From here on each field is the copy's own, also one that is called __proto__.
      copy ??= { ...object }
      copy[key] = encoded
    }
    const result = copy ?? object
    return looksMarked ? marked(lookalike, lookalike.encode(result)) : result
  }

  /** @param outer what the value is in; the value itself, where it is an object */
  #mark(value: unknown, key: Key, outer: Place | undefined): object {
    const isPlace = outer?.value === value
    const path = () => pathTo(key, isPlace ? outer?.parent : outer)
    const transcoding = this.#transcoder.find(value)
    if (transcoding === undefined) {
      return this.#refuse(path(), `is ${kindOf(value)}, which no transcoding knows`)
    }
    let plain: unknown
    try {
      plain = transcoding.encode(value)
    } catch (cause) {
      return this.#refuse(path(), `is refused by the transcoding '${transcoding.name}'`, cause)
    }
    if (plain === value) this.#refuse(path(), `is encoded as itself by the transcoding '${transcoding.name}'`)
    return marked(transcoding, this.encode(plain, isPlace ? undefined : key, outer))
  }
}

function marked({ name }: Transcoding, plain: unknown): object {
  return { [TYPE]: name, [DATA]: plain }
}

/** As JavaScript would write it: `data.tricks[2]`. */
function pathTo(key: Key, parent: Place | undefined): string {
  if (parent === undefined) return String(key)
  const path = pathTo(parent.key, parent.parent)
  if (key === undefined) return path
  if (typeof key === 'number') return `${path}[${key}]`
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`
}

function kindOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`
  const name = value.constructor?.name
  return name ? `an instance of ${name}` : 'an instance of a class without a name'
}
