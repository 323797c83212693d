import { PythonRegexError } from './error.ts'
import { toJavascript } from './javascript.ts'
import type { Node } from './nodes.ts'
import { parsePattern } from './parser.ts'
import { toPostgres } from './postgres.ts'
import { toRe2 } from './re2.ts'
import { resolvePattern } from './resolve.ts'
import { simplify } from './simplify.ts'
import { Declined } from './writer.ts'

export { PythonRegexError }

/** What another engine is given, or why it cannot be given this pattern. */
export type Emitted = { readonly regex: string } | { readonly declined: string }

/**
 * A regular expression of Python (3.11, `re`, patterns of type `str`): `re.match(pattern, text) is not None`, asked here, in
 * PostgreSQL or in ClickHouse. Whatever answers, answers as Python does; what an engine cannot say exactly is declined.
 *
 * Like Python, JavaScript tries alternatives one after the other: `(a+)+b` takes time that doubles with each character of
 * the text. Patterns of people who are not trusted should be run by a database alone, with a statement timeout.
 *
 * @example
 * ```ts
 * const regex = PythonRegex.parse('(?i)[\\w.]+@example\\.com$')
 * regex.test('Ada@Example.com\n') // true
 * regex.toPostgres() // { regex: '^[.0-9A-Za-z…]+@[Ee][Xx]…\\.[Cc][Oo][Mm]\\u000a?$' }
 * ```
 */
export class PythonRegex {
  /** As it was given. */
  readonly pattern: string
  readonly #tree: Node
  /** Undefined until it is needed, null when JavaScript cannot run it exactly. */
  #javascript: RegExp | null | undefined

  private constructor(pattern: string, tree: Node) {
    this.pattern = pattern
    this.#tree = tree
  }

  /**
   * Reads a pattern.
   *
   * @param pattern at most 10,000 characters, at most 100 levels of groups
   * @throws {PythonRegexError} what Python refuses, and what is not supported: larger ones, `\N{…}` and the flag `t`
   */
  static parse(pattern: string): PythonRegex {
    return new PythonRegex(pattern, simplify(resolvePattern(parsePattern(pattern))))
  }

  /**
   * Whether the pattern matches at the start of the text. Undefined when JavaScript cannot tell exactly: conditions,
   * references that ignore case, references to groups that may not have matched, and texts that exhaust its stack.
   */
  test(text: string): boolean | undefined {
    try {
      if (this.#javascript === undefined) this.#javascript = this.#compile()
      if (this.#javascript === null) return undefined
      this.#javascript.lastIndex = 0
      return this.#javascript.test(text)
    } catch {
      // The expression is too large for this engine, or the text took more stack than there is
      return undefined
    }
  }

  /**
   * For `text ~ regex`, in ASCII, in a database whose encoding is UTF8, whatever the collation; PostgreSQL itself refuses
   * those that are not deterministic, so `text collate "C" ~ regex` is safest.
   */
  toPostgres(): Emitted {
    return emitted(() => toPostgres(this.#tree))
  }

  /** For ClickHouse's `match(text, regex)`, in ASCII. */
  toRe2(): Emitted {
    return emitted(() => toRe2(this.#tree))
  }

  #compile(): RegExp | null {
    try {
      return toJavascript(this.#tree)
    } catch (error) {
      if (error instanceof Declined) return null
      throw error
    }
  }
}

function emitted(write: () => string): Emitted {
  try {
    return { regex: write() }
  } catch (error) {
    if (error instanceof Declined) return { declined: error.message }
    throw error
  }
}
