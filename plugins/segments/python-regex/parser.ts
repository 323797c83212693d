import { PythonRegexError } from './error.ts'
import { readClassEscape, readEscape } from './escapes.ts'
import { Groups, isName } from './groups.ts'
import { joinBranches } from './join-branches.ts'
import { type ClassItem, type Flag, type RepeatMode, type Syntax, widthOf } from './syntax.ts'
import { Tokens } from './tokens.ts'

// Reads patterns as Python's own parser does, in the same order, so that it refuses what Python refuses.

/** In code points. */
const MOST_CHARACTERS = 10_000
/** How deep groups may be nested. */
const MOST_LEVELS = 100
/** Python's MAXREPEAT. */
const MOST_REPEATS = 2 ** 32 - 1
const FLAGS = 'iLmsxatu'
const DIGIT = /^[0-9]$/
const NO_FLAGS: ReadonlySet<Flag> = new Set()

/** What a pattern says. */
export interface ParsedPattern {
  readonly items: readonly Syntax[]
  /** The flags at its start, for all of it. */
  readonly flags: ReadonlySet<Flag>
  /** How many groups capture. */
  readonly groups: Groups
}

/**
 * Reads a pattern.
 *
 * @throws {PythonRegexError} what Python refuses, and what is not supported
 */
export function parsePattern(pattern: string): ParsedPattern {
  // Code units bound the work before the code points are counted
  if (pattern.length > 2 * MOST_CHARACTERS || Array.from(pattern).length > MOST_CHARACTERS) {
    throw new PythonRegexError(`more than ${MOST_CHARACTERS} characters are not supported`, MOST_CHARACTERS)
  }
  return new Parser(pattern).parse()
}

class Parser {
  readonly #tokens: Tokens
  readonly #groups = new Groups()
  readonly #flags = new Set<Flag>()
  #level = 0

  constructor(pattern: string) {
    this.#tokens = new Tokens(pattern)
  }

  parse(): ParsedPattern {
    const items = this.#choice(false)
    if (this.#flags.has('a') && this.#flags.has('u')) {
      throw this.#tokens.error('ASCII and UNICODE flags are incompatible')
    }
    if (this.#tokens.next !== undefined) throw this.#tokens.error('unbalanced parenthesis')
    this.#groups.checkAsked((message, position) => new PythonRegexError(message, position))
    return { items, flags: this.#flags, groups: this.#groups }
  }

  /** `a|b|c` up to the parenthesis that closes it. `isVerbose` is the flag `x`. */
  #choice(isVerbose: boolean): readonly Syntax[] {
    const branches: (readonly Syntax[])[] = []
    let verbose = isVerbose
    do {
      if (this.#level === 0) verbose = this.#flags.has('x')
      branches.push(this.#sequence(verbose, this.#level === 0 && branches.length === 0))
    } while (this.#tokens.takeIf('|'))
    return joinBranches(branches)
  }

  /** `mayFlag`: whether flags for all of the pattern may come. */
  #sequence(isVerbose: boolean, mayFlag: boolean): Syntax[] {
    const items: Syntax[] = []
    let verbose = isVerbose
    for (;;) {
      const token = this.#tokens.next
      if (token === undefined || token === '|' || token === ')') break
      this.#tokens.take()
      if (verbose && this.#isSkipped(token)) continue
      if (token.length > 1 && token.startsWith('\\')) items.push(this.#escape(token))
      else if (token === '[') items.push(this.#class())
      else if ('*+?{'.includes(token)) this.#repeat(token, items)
      else if (token === '.') items.push({ kind: 'any' })
      else if (token === '^' || token === '$') items.push({ kind: 'place', place: token })
      else if (token === '(') {
        const item = this.#group(verbose, mayFlag && items.length === 0)
        if (item === 'flags') verbose = this.#flags.has('x')
        else if (item !== 'comment') items.push(item)
      } else items.push({ kind: 'literal', code: token.codePointAt(0) as number, isNegated: false })
    }
    // What only groups is part of the sequence around it
    return items.flatMap(item => (isBare(item) ? item.body : [item]))
  }

  /** Blanks and comments of the flag `x`. */
  #isSkipped(token: string): boolean {
    if (' \t\n\r\v\f'.includes(token)) return true
    if (token !== '#') return false
    for (;;) {
      const skipped = this.#tokens.take()
      if (skipped === undefined || skipped === '\n') return true
    }
  }

  #escape(token: string): Syntax {
    return readEscape(this.#tokens, token, (group, text) =>
      this.#groups.checkReference(this.#tokens, group, text.length),
    )
  }

  #class(): Syntax {
    const tokens = this.#tokens
    const begins = tokens.position - 1
    const items: ClassItem[] = []
    const isNegated = tokens.takeIf('^')
    for (;;) {
      const token = this.#classToken(begins)
      if (token === ']' && items.length > 0) break
      const item = this.#classItem(token)
      if (!tokens.takeIf('-')) {
        items.push(item)
        continue
      }
      const end = this.#classToken(begins)
      if (end === ']') {
        items.push(item, { kind: 'character', code: 0x2d })
        break
      }
      const last = this.#classItem(end)
      if (item.kind !== 'character' || last.kind !== 'character' || last.code < item.code) {
        throw tokens.error(`bad character range ${token}-${end}`, token.length + 1 + end.length)
      }
      items.push({ kind: 'range', first: item.code, last: last.code })
    }
    const [only, ...others] = items
    const isSame = (item: ClassItem) =>
      item.kind === 'character' && only?.kind === 'character' && item.code === only.code
    if (only?.kind === 'character' && others.every(isSame))
      return { kind: 'literal', code: only.code, isNegated }
    return { kind: 'class', items, isNegated }
  }

  #classToken(begins: number): string {
    const token = this.#tokens.take()
    if (token !== undefined) return token
    throw this.#tokens.error('unterminated character set', this.#tokens.position - begins)
  }

  #classItem(token: string): ClassItem {
    if (token.length > 1 && token.startsWith('\\')) return readClassEscape(this.#tokens, token)
    return { kind: 'character', code: token.codePointAt(0) as number }
  }

  #repeat(token: string, items: Syntax[]): void {
    const tokens = this.#tokens
    const here = tokens.position
    let min = token === '+' ? 1 : 0
    let max = token === '?' ? 1 : Number.POSITIVE_INFINITY
    if (token === '{') {
      const counts = this.#counts(here)
      if (counts === undefined) {
        items.push({ kind: 'literal', code: 0x7b, isNegated: false })
        return
      }
      ;[min, max] = counts
    }
    const item = items.at(-1)
    const back = tokens.position - here + token.length
    if (item === undefined || item.kind === 'place') throw tokens.error('nothing to repeat', back)
    if (item.kind === 'repeat') throw tokens.error('multiple repeat', back)
    let mode: RepeatMode = 'greedy'
    if (tokens.takeIf('?')) mode = 'lazy'
    else if (tokens.takeIf('+')) mode = 'possessive'
    items[items.length - 1] = { kind: 'repeat', body: isBare(item) ? item.body : [item], min, max, mode }
  }

  /** `{m,n}` after its brace; undefined, and nothing taken, where the brace stands for itself. */
  #counts(here: number): [min: number, max: number] | undefined {
    const tokens = this.#tokens
    if (tokens.next === '}') return undefined
    const low = tokens.takeWhile(DIGIT)
    const high = tokens.takeIf(',') ? tokens.takeWhile(DIGIT) : low
    if (!tokens.takeIf('}')) {
      tokens.seek(here)
      return undefined
    }
    const min = low === '' ? 0 : Number(low)
    const max = high === '' ? Number.POSITIVE_INFINITY : Number(high)
    if (min >= MOST_REPEATS || (high !== '' && max >= MOST_REPEATS)) {
      throw tokens.error('the repetition number is too large', tokens.position - here)
    }
    if (max < min) throw tokens.error('min repeat greater than max repeat', tokens.position - here)
    return [min, max]
  }

  /** What follows an opening parenthesis. */
  #group(isVerbose: boolean, mayFlag: boolean): Syntax | 'comment' | 'flags' {
    const tokens = this.#tokens
    const begins = tokens.position - 1
    if (!tokens.takeIf('?')) return this.#capture(undefined, isVerbose, begins)
    const kind = this.#takeKind()
    switch (kind) {
      case 'P':
        return this.#named(isVerbose, begins)
      case ':':
        return {
          kind: 'group',
          number: undefined,
          on: NO_FLAGS,
          off: NO_FLAGS,
          body: this.#body(isVerbose, begins),
        }
      case '#':
        return this.#comment(begins)
      case '=':
      case '!':
        return { kind: 'look', isAhead: true, isNegated: kind === '!', body: this.#body(isVerbose, begins) }
      case '<':
        return this.#lookbehind(isVerbose, begins)
      case '(':
        return this.#condition(isVerbose, begins)
      case '>':
        return { kind: 'atomic', body: this.#body(isVerbose, begins) }
      default:
        if (FLAGS.includes(kind) || kind === '-') return this.#flagged(kind, isVerbose, mayFlag, begins)
        throw tokens.error(`unknown extension ?${kind}`, kind.length + 1)
    }
  }

  #takeKind(): string {
    const token = this.#tokens.take()
    if (token === undefined) throw this.#tokens.error('unexpected end of pattern')
    return token
  }

  #body(isVerbose: boolean, begins: number): readonly Syntax[] {
    return this.#closed(begins, () => this.#choice(isVerbose))
  }

  /** Reads something one level deeper, and the parenthesis that closes it. */
  #closed<T>(begins: number, read: () => T): T {
    this.#level++
    if (this.#level > MOST_LEVELS)
      throw this.#tokens.error(`more than ${MOST_LEVELS} levels are not supported`)
    const body = read()
    this.#level--
    if (this.#tokens.takeIf(')')) return body
    throw this.#tokens.error('missing ), unterminated subpattern', this.#tokens.position - begins)
  }

  #capture(name: string | undefined, isVerbose: boolean, begins: number): Syntax {
    const number = this.#groups.open(this.#tokens, name)
    const body = this.#body(isVerbose, begins)
    this.#groups.close(number, widthOf(body, this.#groups.widths))
    return { kind: 'group', number, on: NO_FLAGS, off: NO_FLAGS, body }
  }

  #named(isVerbose: boolean, begins: number): Syntax {
    const tokens = this.#tokens
    if (tokens.takeIf('<')) return this.#capture(this.#name('>'), isVerbose, begins)
    if (!tokens.takeIf('=')) {
      const token = this.#takeKind()
      throw tokens.error(`unknown extension ?P${token}`, token.length + 2)
    }
    const name = this.#name(')')
    const group = this.#groups.named(tokens, name)
    this.#groups.checkReference(tokens, group, name.length + 1)
    return { kind: 'reference', group }
  }

  #name(end: string): string {
    const name = this.#tokens.takeName(end, 'group name')
    if (!isName(name)) throw this.#tokens.error(`bad character in group name '${name}'`, name.length + 1)
    return name
  }

  #comment(begins: number): 'comment' {
    for (;;) {
      const token = this.#tokens.take()
      if (token === ')') return 'comment'
      if (token === undefined) {
        throw this.#tokens.error('missing ), unterminated comment', this.#tokens.position - begins)
      }
    }
  }

  #lookbehind(isVerbose: boolean, begins: number): Syntax {
    const kind = this.#takeKind()
    if (kind !== '=' && kind !== '!') {
      throw this.#tokens.error(`unknown extension ?<${kind}`, kind.length + 2)
    }
    const around = this.#groups.lookbehindFrom
    this.#groups.lookbehindFrom ??= this.#groups.widths.length
    const body = this.#body(isVerbose, begins)
    this.#groups.lookbehindFrom = around
    return { kind: 'look', isAhead: false, isNegated: kind === '!', body }
  }

  #condition(isVerbose: boolean, begins: number): Syntax {
    const tokens = this.#tokens
    const group = this.#groups.condition(tokens, tokens.takeName(')', 'group name'))
    this.#groups.checkLookbehind(tokens, group)
    return this.#closed(begins, () => {
      const yes = this.#sequence(isVerbose, false)
      if (!tokens.takeIf('|')) return { kind: 'condition', group, yes, no: undefined }
      const no = this.#sequence(isVerbose, false)
      if (tokens.next === '|') throw tokens.error('conditional backref with more than two branches')
      return { kind: 'condition', group, yes, no }
    })
  }

  /** `(?i)` or `(?i-s:…)`, after its first letter. */
  #flagged(first: string, isVerbose: boolean, mayFlag: boolean, begins: number): Syntax | 'flags' {
    const tokens = this.#tokens
    const on = new Set<Flag>()
    let token = first
    while (token !== '-' && token !== ':' && token !== ')') {
      on.add(this.#flag(token))
      if (on.has('a') && on.has('u')) throw tokens.error("bad inline flags: 'a' and 'u' are incompatible")
      token = this.#takeKind()
    }
    if (token === ')') {
      for (const flag of on) this.#flags.add(flag)
      if (mayFlag) return 'flags'
      throw tokens.error('global flags not at the start of the expression', tokens.position - begins)
    }
    const off = token === '-' ? this.#flagsOff() : NO_FLAGS
    for (const flag of off)
      if (on.has(flag)) throw tokens.error('bad inline flags: flag turned on and off', 1)
    const verbose = (isVerbose || on.has('x')) && !off.has('x')
    return { kind: 'group', number: undefined, on, off, body: this.#body(verbose, begins) }
  }

  #flagsOff(): ReadonlySet<Flag> {
    const off = new Set<Flag>()
    let token = this.#takeKind()
    do {
      const flag = this.#flag(token)
      if (flag === 'a' || flag === 'u') {
        throw this.#tokens.error("bad inline flags: cannot turn off flags 'a', 'u' and 'L'")
      }
      off.add(flag)
      token = this.#takeKind()
    } while (token !== ':')
    return off
  }

  #flag(token: string): Flag {
    if (token === 'L') throw this.#tokens.error("bad inline flags: cannot use 'L' flag with a str pattern")
    if (token === 't') throw this.#tokens.error("the flag 't' is not supported", 1)
    if (FLAGS.includes(token)) return token as Flag
    throw this.#tokens.error('unknown flag', token.length)
  }
}

/** `(?:…)`: it groups, and nothing else. */
function isBare(item: Syntax): item is Extract<Syntax, { kind: 'group' }> {
  return item.kind === 'group' && item.number === undefined && item.on.size === 0 && item.off.size === 0
}
