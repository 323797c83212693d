import { lexisOf, SqlLexer, type SqlToken } from './sql-lexer.ts'

export type { SqlToken }

/** Words after which a `-` belongs to the number, as no value has come before it. */
const BEFORE_VALUE =
  /^(?:all|and|as|between|by|case|distinct|div|else|escape|except|from|having|in|intersect|interval|is|like|limit|mod|not|offset|on|or|return|returning|select|set|than|then|to|union|using|values|when|where|xor)$/i
const ENDS_AS_WORD = /[\w$\u0080-\uffff]$/
/** A space comes between it and a value: two words would be one without it, and after an operator it may have been taken back. */
const WANTS_SPACE = /[\w$\u0080-\uffff,=<>|]$/
const STARTS_AS_WORD = /^[\w$\u0080-\uffff]/
const ESCAPED = /^e'/i

/**
 * Splits an SQL text; the texts of the tokens make it up again. What has no end (a quote that nobody closed) is one token up to the
 * end. Takes time in proportion to the text's length.
 *
 * @param dialect `postgresql`, `mysql`, `mariadb` or `sqlite`; any other is read as `postgresql`
 */
export function tokensOf(sql: string, dialect: string): SqlToken[] {
  const lexer = new SqlLexer(sql, lexisOf(dialect))
  const tokens: SqlToken[] = []
  for (let token = lexer.next(); token !== undefined; token = lexer.next()) tokens.push(token)
  return tokens
}

/**
 * The text with `$n` in the place of each string and number, whatever it is there for (`limit $1`, `date $2`): a key of a JSON path
 * and a password look the same. Numbering goes on after the highest `$n` that is there already. Comments lose their content, which
 * may be anything. `null`, `true` and `false` stay.
 *
 * @param dialect see {@link tokensOf}
 */
export function withoutValues(sql: string, dialect: string): string {
  const tokens = tokensOf(sql, dialect)
  let number = highestParameter(tokens)
  const pieces: string[] = []
  let before: SqlToken | undefined
  let beforeThat: SqlToken | undefined
  let afterValue = false
  for (const token of tokens) {
    const { kind } = token
    if (kind === 'string' || kind === 'number') {
      if (kind === 'number' && pieces.at(-1) === '-' && isSign(beforeThat)) pieces.pop()
      // MikroORM writes ` E'…'` for a text with a backslash in the place of `'…'`.
      else if (ESCAPED.test(token.text)) takeSpace(pieces)
      if (WANTS_SPACE.test(pieces.at(-1) ?? '')) pieces.push(' ')
      pieces.push(`$${++number}`)
      afterValue = true
    } else {
      const piece = kind === 'comment' ? emptyComment(token.text) : token.text
      if (afterValue && STARTS_AS_WORD.test(piece)) pieces.push(' ')
      pieces.push(piece)
      afterValue = false
    }
    if (kind === 'space' || kind === 'comment') continue
    beforeThat = before
    before = token
  }
  return pieces.join('')
}

function highestParameter(tokens: readonly SqlToken[]): number {
  let highest = 0
  for (const { kind, text } of tokens) {
    // More digits than any database allows are no number of a parameter.
    if (kind === 'parameter' && /^\$\d{1,6}$/.test(text)) highest = Math.max(highest, Number(text.slice(1)))
  }
  return highest
}

/** Whether a `-` before a number belongs to it. */
function isSign(before: SqlToken | undefined): boolean {
  if (before === undefined) return true
  if (before.kind === 'symbol') return before.text !== ')' && before.text !== ']'
  return before.kind === 'word' && BEFORE_VALUE.test(before.text)
}

/** Takes back the space, unless it tells two words apart. */
function takeSpace(pieces: string[]): void {
  const last = pieces.at(-1) ?? ''
  if (!last.endsWith(' ')) return
  if (last.length > 1) pieces[pieces.length - 1] = last.slice(0, -1)
  else if (!ENDS_AS_WORD.test(pieces.at(-2) ?? '')) pieces.pop()
}

function emptyComment(text: string): string {
  if (text.startsWith('/*')) return '/* */'
  return text.startsWith('#') ? '#' : '--'
}
