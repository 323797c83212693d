import type { Dialect, Scope, Value } from './dialect.ts'
import { LAST_BUCKET } from './percentage.ts'
import type { Comparison, Test } from './predicate.ts'
import { pythonModulo } from './python-numbers.ts'
import type { Semver } from './semver.ts'
import { semverPatterns } from './semver-pattern.ts'
import { LONGEST_NUMBER } from './values.ts'

// One test of one value as SQL, in any dialect: which classes of values can pass with this operand, and under which guards.
// What can be decided here is, so that only what depends on the row is left for the database.

/** A condition that is never NULL and fails for no row, or its constant verdict. */
export type Sql = string | boolean

/** A condition that this dialect has no SQL for; the message says why. */
export class Untranslatable extends Error {}

/** A value that a test looks at. `traitPath` when it is a trait. */
export interface SubjectSql extends Value {
  readonly traitPath?: readonly string[]
}

type TestOf<Kind extends Test['kind']> = Extract<Test, { readonly kind: Kind }>

/** Passed for each class of values: a condition, or a constant. It may be NULL only for a missing value. */
interface Verdicts {
  readonly integer: Sql
  readonly float: Sql
  readonly text: Sql
  readonly true: boolean
  readonly false: boolean
}

// No `?` in these, which some drivers would take for a parameter.
const INTEGER = "'^-{0,1}[0-9]+$'"
const FLOAT = "'^-{0,1}[0-9]+[.][0-9]+$'"
const NUMBER = "'^-{0,1}[0-9]+([.][0-9]+|)$'"

/** Every integer that reads as one is nearer to zero. */
const BEYOND_INTEGERS = 10n ** BigInt(LONGEST_NUMBER + 1)

/** @throws Untranslatable */
export function emitTest(test: Test, value: SubjectSql, dialect: Dialect, scope: Scope): Sql {
  return new Emitter(value, dialect, scope).test(test)
}

class Emitter {
  readonly #value: SubjectSql
  readonly #dialect: Dialect
  readonly #scope: Scope

  constructor(value: SubjectSql, dialect: Dialect, scope: Scope) {
    this.#value = value
    this.#dialect = dialect
    this.#scope = scope
  }

  test(test: Test): Sql {
    switch (test.kind) {
      case 'set':
        return this.#value.isSet ?? `${this.#value.text} is not null`
      case 'unset':
        return this.#value.isSet === undefined ? `${this.#value.text} is null` : `not ${this.#value.isSet}`
      case 'scalar':
        return this.#scalar()
      case 'compare':
        return this.#compare(test)
      case 'contains':
        return this.#contains(test)
      case 'in':
        return this.#in(test)
      case 'modulo':
        return this.#modulo(test)
      case 'split':
        return this.#split(test)
      case 'regex':
        return this.#regex(test)
    }
  }

  #scalar(): Sql {
    const { isText, isBoolean, isFloat = false, text } = this.#value
    return isText === true ? `${text} is not null` : neverNull(anyOf(isText, isFloat, isBoolean))
  }

  #compare(test: TestOf<'compare'>): Sql {
    const { comparison, boolean } = test
    const isTrue = holds(comparison, 1, boolean ? 1 : 0)
    const isFalse = holds(comparison, 0, boolean ? 1 : 0)
    if (test.semver !== undefined) return this.#compareVersions(comparison, test.semver, isTrue, isFalse)
    const verdicts: Verdicts = {
      integer: this.#compareInteger(test),
      float: this.#compareFloat(test),
      text: this.#compareText(test),
      true: isTrue,
      false: isFalse,
    }
    return this.#indexedEqual(test) ?? this.#byClass(verdicts)
  }

  /** Equality with a text that no number equals: only itself, and what is true in JSON. */
  #indexedEqual({ comparison, integer, float, text, boolean }: TestOf<'compare'>): Sql | undefined {
    const isPlain = comparison === '=' && integer === undefined && float === undefined && text !== undefined
    if (!isPlain) return undefined
    return this.#traitIs(this.#dialect.canHold(text) ? [text, boolean] : [boolean])
  }

  #compareInteger({ comparison, integer }: TestOf<'compare'>): Sql {
    if (integer === undefined) return false
    if (integer >= BEYOND_INTEGERS) return holds(comparison, 0, 1)
    if (integer <= -BEYOND_INTEGERS) return holds(comparison, 1, 0)
    return this.#dialect.compareInteger(this.#value.text, comparison, integer, this.#scope)
  }

  #compareFloat({ comparison, float }: TestOf<'compare'>): Sql {
    if (float === undefined) return false
    // Nothing is before, after or equal to NaN; databases think otherwise.
    if (Number.isNaN(float)) return comparison === '<>'
    return this.#dialect.compareFloat(this.#value.text, comparison, float, this.#scope)
  }

  #compareText({ comparison, text }: TestOf<'compare'>): Sql {
    return text !== undefined && this.#comparePlainText(comparison, text)
  }

  /** Two points between digits: only a text has those, so nothing has to guard it. Most versions are releases. */
  #compareVersions(comparison: Comparison, version: Semver, ifTrue: boolean, ifFalse: boolean): Sql {
    const patterns = semverPatterns(comparison, version)
    if (patterns === undefined)
      throw new Untranslatable('a part of the version is longer than 100 characters')
    const matches = (pattern: string) => this.#dialect.matches(this.#value.text, pattern)
    const contains = (sign: string) => this.#dialect.contains(this.#value.text, sign, this.#scope)
    const branches: [string, Sql][] = [
      [matches(this.#scope.literal(patterns.releases)), true],
      [anyOf(contains('-'), contains('+')), matches(this.#scope.literal(patterns.all))],
      ...(ifTrue || ifFalse ? this.#booleanBranches({ ...NONE, true: ifTrue, false: ifFalse }) : []),
    ]
    return cases(
      branches.map(([when, then]) => [when, sql(then)]),
      'false',
    )
  }

  #comparePlainText(comparison: Comparison, operand: string): Sql {
    const { text } = this.#value
    if (this.#dialect.canHold(operand))
      return this.#dialect.compareText(text, comparison, operand, this.#scope)
    if (comparison === '=' || comparison === '<>') return comparison === '<>'
    // Nothing that is stored equals the operand: what is between its neighbours decides.
    const isBefore = comparison.startsWith('<')
    const at = [...operand].findIndex(character => !this.#dialect.canHold(character))
    const characters = [...operand]
    const start = characters.slice(0, at).join('')
    if (characters[at] === '\0') {
      return this.#dialect.compareText(text, isBefore ? '<=' : '>', start, this.#scope)
    }
    // U+E000 is the first character after the surrogates.
    return this.#dialect.compareText(text, isBefore ? '<' : '>=', `${start}\ue000`, this.#scope)
  }

  #contains({ text: operand, isNegated }: TestOf<'contains'>): Sql {
    const { text } = this.#value
    if (!this.#dialect.canHold(operand)) return isNegated && this.#byClass({ ...NONE, text: true })
    const contains = this.#dialect.contains(text, operand, this.#scope)
    if (isNegated) return this.#byClass({ ...NONE, text: `not (${contains})` })
    // No number has another character than these in it.
    const mayBeInNumber = /^[-.0-9]*$/.test(operand)
    if (mayBeInNumber) return this.#byClass({ ...NONE, text: contains })
    return neverNull(allOf(this.#value.isText, contains))
  }

  #in({ texts }: TestOf<'in'>): Sql {
    const found = texts.filter(text => this.#dialect.canHold(text))
    const integers = found.filter(isShortestInteger)
    const plain = found.filter(text => !readsAsNumber(text) || text.length > LONGEST_NUMBER)
    const all = [...integers, ...plain]
    if (all.length === 0) return false
    const { text, isText } = this.#value
    if (integers.length === 0) {
      const isLong = plain.some(readsAsNumber)
      const indexed = plain.length > MOST_INDEXED || isLong ? undefined : this.#traitIs(plain)
      return indexed ?? neverNull(allOf(isText, this.#dialect.isIn(text, plain, this.#scope)))
    }
    const shortest = cases([
      [this.#isInteger(), this.#dialect.integerText(text)],
      [isText === true ? 'true' : isText, text],
    ])
    return neverNull(this.#dialect.isIn(shortest, all, this.#scope))
  }

  #modulo({ divisor, remainder }: TestOf<'modulo'>): Sql {
    const isRight = (value: number) => pythonModulo(value, divisor) === remainder
    if (divisor === 0 || Number.isNaN(divisor) || Number.isNaN(remainder)) return false
    const number = this.#remainder(divisor, remainder)
    return this.#byClass({
      integer: this.#integerRemainder(divisor, remainder, number),
      float: number,
      text: false,
      true: isRight(1),
      false: isRight(0),
    })
  }

  #remainder(divisor: number, remainder: number): Sql {
    const { text } = this.#value
    if (Number.isFinite(divisor)) {
      return Number.isFinite(remainder) && this.#dialect.pythonRemainderIs(text, divisor, remainder)
    }
    const compare = (comparison: Comparison, operand: number) =>
      this.#dialect.compareFloat(text, comparison, operand, this.#scope)
    // What has the sign of the infinite divisor is its own remainder, what has the other one has the divisor as its.
    if (remainder === divisor) return compare(divisor > 0 ? '<' : '>', 0)
    const hasSameSign = remainder === 0 || remainder < 0 === divisor < 0
    return Number.isFinite(remainder) && hasSameSign && compare('=', remainder)
  }

  /** Up to 15 digits are exact as doubles, and simple whole numbers to the database. */
  #integerRemainder(divisor: number, remainder: number, otherwise: Sql): Sql {
    if (!Number.isSafeInteger(divisor)) return otherwise
    const { text } = this.#value
    const isPossible = Number.isSafeInteger(remainder) && pythonModulo(remainder, divisor) === remainder + 0
    const small =
      isPossible &&
      this.#dialect.remainderIn(text, divisor, remainder === 0 ? [0] : [remainder, remainder - divisor])
    return cases([[`length(${text}) <= 15`, sql(small)]], sql(otherwise))
  }

  #split({ segmentKey, mostBucket }: TestOf<'split'>): Sql {
    if (mostBucket < 0) return false
    if (mostBucket >= LAST_BUCKET) return this.#scalar()
    // Hashed as UTF-8, in which there are no halves of pairs.
    const key = segmentKey.toWellFormed()
    if (!this.#dialect.canHold(key)) throw new Untranslatable('the key of the segment has a NUL')
    return neverNull(this.#dialect.isInSplit(this.#pythonText(), key, mostBucket, this.#scope))
  }

  #regex({ regex }: TestOf<'regex'>): Sql {
    const emitted = this.#dialect.regex(regex)
    if ('declined' in emitted) throw new Untranslatable(emitted.declined)
    if (!this.#dialect.canHold(emitted.regex))
      throw new Untranslatable('the pattern has a NUL or half a surrogate pair')
    return neverNull(this.#dialect.matches(this.#pythonText(), this.#scope.literal(emitted.regex)))
  }

  /** The value as Python prints it; NULL for what is missing, an array or an object. */
  #pythonText(): string {
    const { text, isText, isBoolean } = this.#value
    const number = cases(
      [[this.#reads(INTEGER), this.#dialect.integerText(text)]],
      this.#dialect.floatText(text),
    )
    const branches: [string, string][] = [[this.#isNumber(), number]]
    if (isBoolean === false && isText === true) return cases(branches, text)
    branches.push([sql(isText), text])
    if (isBoolean !== false) branches.push([isBoolean, cases([[`${text} = 'true'`, "'True'"]], "'False'")])
    return cases(branches)
  }

  /** A condition for each class of values. The casts of numbers stand behind what guards them. */
  #byClass(verdicts: Verdicts): Sql {
    const { isText } = this.#value
    const branches: [string, Sql][] = []
    if (verdicts.integer === verdicts.float) {
      branches.push([this.#isNumber(), verdicts.integer])
    } else {
      const classes: [string, Sql][] = [
        [this.#isInteger(), verdicts.integer],
        [this.#isFloat(), verdicts.float],
      ]
      // No value is both: what is looked for comes first.
      branches.push(...(verdicts.integer === false ? classes.toReversed() : classes))
    }
    branches.push([isText === true ? `${this.#value.text} is not null` : isText, verdicts.text])
    branches.push(...this.#booleanBranches(verdicts))
    while (branches.at(-1)?.[1] === false) branches.pop()
    if (branches.length === 0) return false
    return cases(
      branches.map(([when, then]) => [when, sql(then)]),
      'false',
    )
  }

  #booleanBranches({ true: ifTrue, false: ifFalse }: Verdicts): [string, Sql][] {
    const { isBoolean, text } = this.#value
    if (isBoolean === false) return []
    if (ifTrue === ifFalse) return [[isBoolean, ifTrue]]
    return [[isBoolean, `${text} = '${ifTrue}'`]]
  }

  #traitIs(values: readonly (string | boolean)[]): Sql | undefined {
    const { traitPath } = this.#value
    return traitPath && this.#dialect.traitIs?.(traitPath, values, this.#scope)
  }

  #isInteger(): string {
    return this.#isShort(this.#reads(INTEGER))
  }

  #isFloat(): string {
    return this.#orFloat(this.#isShort(this.#reads(FLOAT)))
  }

  #isNumber(): string {
    const reads = this.#isShort(this.#reads(NUMBER))
    const mayBe = this.#dialect.mayBeNumber?.(this.#value.text) ?? true
    return this.#orFloat(allOf(mayBe, reads))
  }

  #orFloat(condition: string): string {
    const { isFloat } = this.#value
    return isFloat === undefined ? condition : `(${isFloat} or ${condition})`
  }

  /** The pattern is found in the text, and that tells what it is. */
  #reads(pattern: string): string {
    const { text, isFloat } = this.#value
    const found = this.#dialect.matches(text, pattern)
    return isFloat === undefined ? found : `not (${isFloat}) and ${found}`
  }

  #isShort(condition: string): string {
    return `${condition} and length(${this.#value.text}) <= ${LONGEST_NUMBER}`
  }
}

const NONE: Verdicts = { integer: false, float: false, text: false, true: false, false: false }

/** More texts than these are looked for in a list, which needs one look and no index. */
const MOST_INDEXED = 32

function holds(comparison: Comparison, left: number, right: number): boolean {
  if (left === right) return comparison === '=' || comparison === '<=' || comparison === '>='
  return comparison === '<>' || comparison.startsWith(left < right ? '<' : '>')
}

function readsAsNumber(text: string): boolean {
  return /^-?[0-9]+(\.[0-9]+)?$/.test(text)
}

function isShortestInteger(text: string): boolean {
  return /^(0|-?[1-9][0-9]*)$/.test(text) && text.length <= LONGEST_NUMBER
}

function cases(branches: readonly (readonly [string, string])[], otherwise?: string): string {
  const whens = branches.map(([when, then]) => `when ${when} then ${then}`).join(' ')
  return `case ${whens}${otherwise === undefined ? '' : ` else ${otherwise}`} end`
}

function neverNull(condition: string): string {
  return `coalesce(${condition}, false)`
}

function allOf(...conditions: readonly (string | true)[]): string {
  return conditions.filter(condition => condition !== true).join(' and ')
}

function anyOf(...conditions: readonly (string | false)[]): string {
  return conditions.filter(condition => condition !== false).join(' or ')
}

function sql(value: Sql): string {
  return String(value)
}
