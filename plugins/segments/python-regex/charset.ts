/** One more than the last code point. */
const PAST_LAST = 0x110000

/** A set of code points. Immutable. */
export class CharSet {
  /** Where it begins and where it ends, in turn, ascending; an end is the first code point that is outside. */
  readonly edges: readonly number[]

  constructor(edges: readonly number[]) {
    this.edges = edges
  }

  // `this`: for the class's own name the compiler writes a variable that has no value yet when these are made.
  static readonly NONE: CharSet = new this([])
  static readonly ALL: CharSet = new this([0, PAST_LAST])

  /** The code points from `first` to `last`, both included. */
  static range(first: number, last: number = first): CharSet {
    return new CharSet([first, last + 1])
  }

  static of(codes: Iterable<number>): CharSet {
    const edges: number[] = []
    for (const code of [...codes].sort((a, b) => a - b)) {
      const end = edges.at(-1)
      if (end === code) edges[edges.length - 1] = code + 1
      else if (end === undefined || code > end) edges.push(code, code + 1)
    }
    return new CharSet(edges)
  }

  get isEmpty(): boolean {
    return this.edges.length === 0
  }

  get isAll(): boolean {
    return this.edges.length === 2 && this.edges[0] === 0 && this.edges[1] === PAST_LAST
  }

  /** How many code points are in it. */
  get size(): number {
    return this.edges.reduce((sum, edge, i) => sum + (i % 2 === 0 ? -edge : edge), 0)
  }

  /** First and last code point of each stretch. */
  get ranges(): readonly (readonly [first: number, last: number])[] {
    const ranges: [number, number][] = []
    for (let i = 0; i < this.edges.length; i += 2) {
      ranges.push([this.edges[i] as number, (this.edges[i + 1] as number) - 1])
    }
    return ranges
  }

  has(code: number): boolean {
    let low = 0
    let high = this.edges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.edges[middle] as number) <= code) low = middle + 1
      else high = middle
    }
    return low % 2 === 1
  }

  union(other: CharSet): CharSet {
    if (this.isEmpty) return other
    if (other.isEmpty) return this
    return this.#combine(other, (a, b) => a || b)
  }

  intersect(other: CharSet): CharSet {
    return this.#combine(other, (a, b) => a && b)
  }

  without(other: CharSet): CharSet {
    return this.#combine(other, (a, b) => a && !b)
  }

  complement(): CharSet {
    return CharSet.ALL.without(this)
  }

  isWithin(other: CharSet): boolean {
    return this.without(other).isEmpty
  }

  isApartFrom(other: CharSet): boolean {
    return this.intersect(other).isEmpty
  }

  #combine(other: CharSet, isIn: (inThis: boolean, inOther: boolean) => boolean): CharSet {
    const edges: number[] = []
    let i = 0
    let j = 0
    let inside = false
    while (i < this.edges.length || j < other.edges.length) {
      const edge = Math.min(this.edges[i] ?? PAST_LAST, other.edges[j] ?? PAST_LAST)
      if (this.edges[i] === edge) i++
      if (other.edges[j] === edge) j++
      if (isIn(i % 2 === 1, j % 2 === 1) !== inside) {
        edges.push(edge)
        inside = !inside
      }
    }
    return new CharSet(edges)
  }
}
