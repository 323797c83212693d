/**
 * A pattern that Python's `re` refuses, or that is not supported here at all (`\N{…}`, more than 10,000 characters, more
 * than 100 levels of nesting).
 */
export class PythonRegexError extends Error {
  /** Where in the pattern, in code points from its start. */
  readonly position: number

  constructor(message: string, position: number) {
    super(message)
    this.name = 'PythonRegexError'
    this.position = position
  }
}
