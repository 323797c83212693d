import { lexisOf, SqlLexer, type SqlToken } from './sql-lexer.ts'

export type { SqlToken }

/** Words after which a `-` belongs to the number, as no value has come before it. */
const BEFORE_VALUE =
  /^(?:all|and|as|between|by|case|distinct|div|else|escape|except|from|having|in|intersect|interval|is|like|limit|mod|not|offset|on|or|return|returning|select|set|than|then|to|union|using|values|when|where|xor)$/i
const ENDS_AS_WORD = /[\w$\u0080-\uffff]$/
/** A space comes between it and a value: two words would be one without it, and after an operator it may have been taken back. */
const WANTS_SPACE = /[\w$\u0080-\uffff,=<>|]$/
const STARTS_AS_WORD = /^[\w$\u0080-\uffff]/

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
  const lexer = new SqlLexer(sql, lexisOf(dialect))
  const pieces: string[] = []
  let number = /\$\d/.test(sql) ? highestParameter(tokensOf(sql, dialect)) : 0
  /** How far the text is in the pieces; what stays as it is, is taken over in long ones. */
  let done = 0
  /** The last character of the pieces. */
  let last = ''
  const add = (piece: string): void => {
    pieces.push(piece)
    last = piece.at(-1) ?? last
  }
  let before: Passed | undefined
  let beforeThat: Passed | undefined
  let afterValue = false
  for (let kind = lexer.advance(); kind !== undefined; kind = lexer.advance()) {
    const { start, end } = lexer
    if (kind === 'string' || kind === 'number') {
      const isNegative = before?.end === start && isMinus(sql, before) && isSign(sql, beforeThat)
      // MikroORM writes ` E'…'` for a text with a backslash in the place of `'…'`.
      const isEscaped = kind === 'string' && sql[start + 1] === "'" && /e/i.test(sql[start] as string)
      if (kind === 'number' && isNegative) add(sql.slice(done, start - 1))
      else if (isEscaped && hasNeedlessSpace(sql, done, start, last)) add(sql.slice(done, start - 1))
      else add(sql.slice(done, start))
      if (WANTS_SPACE.test(last)) add(' ')
      add(`$${++number}`)
      done = end
      afterValue = true
    } else {
      if (afterValue && STARTS_AS_WORD.test(sql[start] as string)) add(' ')
      afterValue = false
      if (kind === 'comment') {
        add(sql.slice(done, start))
        add(emptyComment(sql.slice(start, start + 2)))
        done = end
      }
    }
    if (kind === 'space' || kind === 'comment') continue
    beforeThat = before
    before = { kind, start, end }
  }
  add(sql.slice(done))
  return pieces.join('')
}

/** A token that is neither space nor comment. */
interface Passed {
  readonly kind: SqlToken['kind']
  readonly start: number
  readonly end: number
}

function highestParameter(tokens: readonly SqlToken[]): number {
  let highest = 0
  for (const { kind, text } of tokens) {
    // More digits than any database allows are no number of a parameter.
    if (kind === 'parameter' && /^\$\d{1,6}$/.test(text)) highest = Math.max(highest, Number(text.slice(1)))
  }
  return highest
}

function isMinus(sql: string, { kind, start, end }: Passed): boolean {
  return kind === 'symbol' && end - start === 1 && sql[start] === '-'
}

/** Whether a `-` before a number belongs to it. */
function isSign(sql: string, before: Passed | undefined): boolean {
  if (before === undefined) return true
  const text = sql.slice(before.start, before.end)
  if (before.kind === 'symbol') return text !== ')' && text !== ']'
  return before.kind === 'word' && BEFORE_VALUE.test(text)
}

/**
 * Whether the space before `start` can be taken back: it does not tell two words apart.
 *
 * @param done where what is behind `last` begins
 */
function hasNeedlessSpace(sql: string, done: number, start: number, last: string): boolean {
  if (start === done || sql[start - 1] !== ' ') return false
  const previous = start - 1 === done ? last : (sql[start - 2] as string)
  return !ENDS_AS_WORD.test(previous)
}

function emptyComment(text: string): string {
  if (text.startsWith('/*')) return '/* */'
  return text.startsWith('#') ? '#' : '--'
}
