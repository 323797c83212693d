import { PythonRegexError } from './error.ts'

/** Reads a pattern character by character; a backslash and what follows it are one token. */
export class Tokens {
  readonly #characters: readonly string[]
  /** Where the token after `next` begins. */
  #index = 0
  #next: string | undefined

  constructor(pattern: string) {
    this.#characters = Array.from(pattern)
    this.#advance()
  }

  /** The token that `take` would answer; undefined at the end. */
  get next(): string | undefined {
    return this.#next
  }

  /** Where `next` begins, in code points. */
  get position(): number {
    return this.#index - (this.#next === undefined ? 0 : Array.from(this.#next).length)
  }

  take(): string | undefined {
    const token = this.#next
    this.#advance()
    return token
  }

  /** Takes the next token if it is this one. */
  takeIf(token: string): boolean {
    if (this.#next !== token) return false
    this.#advance()
    return true
  }

  /** Takes up to `most` tokens that match. */
  takeWhile(pattern: RegExp, most = Number.POSITIVE_INFINITY): string {
    let taken = ''
    while (taken.length < most && this.#next !== undefined && pattern.test(this.#next)) {
      taken += this.#next
      this.#advance()
    }
    return taken
  }

  /** Takes a name and the `end` after it. */
  takeName(end: string, what: string): string {
    let name = ''
    for (;;) {
      const token = this.take()
      if (token === undefined)
        throw this.error(name === '' ? `missing ${what}` : `missing ${end}, unterminated name`)
      if (token === end) break
      name += token
    }
    if (name === '') throw this.error(`missing ${what}`, 1)
    return name
  }

  /** Goes back to a position. */
  seek(position: number): void {
    this.#index = position
    this.#advance()
  }

  /** An error at `back` code points before `next`. */
  error(message: string, back = 0): PythonRegexError {
    return new PythonRegexError(message, Math.max(0, this.position - back))
  }

  #advance(): void {
    const first = this.#characters[this.#index]
    if (first === undefined) {
      this.#next = undefined
      return
    }
    if (first !== '\\') {
      this.#next = first
      this.#index += 1
      return
    }
    const second = this.#characters[this.#index + 1]
    if (second === undefined) throw new PythonRegexError('bad escape (end of pattern)', this.#index)
    this.#next = first + second
    this.#index += 2
  }
}
