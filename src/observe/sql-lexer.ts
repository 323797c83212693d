/** A piece of an SQL text. */
export interface SqlToken {
  /** `string` also: bit strings, dollar quotes, and a quoted name that has no end. */
  readonly kind: 'word' | 'identifier' | 'string' | 'number' | 'parameter' | 'comment' | 'space' | 'symbol'
  readonly text: string
}

type Kind = SqlToken['kind']

/** In what the dialects differ. */
interface Lexis {
  /** Quotes around texts. */
  readonly strings: string
  /** Quotes around names; `[` ends with `]`. */
  readonly identifiers: string
  /** Whether a backslash escapes in every text, not just in `E''`. */
  readonly backslashes: boolean
  /** What belongs to the quote that follows it directly. */
  readonly prefix: RegExp
  readonly dollarQuotes: boolean
  readonly nestedComments: boolean
  /** What starts a comment up to the end of its line. */
  readonly lineComment: RegExp
  readonly lineEnd: RegExp
  /** `/*!`, whose content is run. */
  readonly runComment: RegExp | undefined
  readonly parameter: RegExp
}

const POSTGRESQL: Lexis = {
  strings: "'",
  identifiers: '"',
  backslashes: false,
  prefix: /[ebnx](?=')|u&(?=['"])/iy,
  dollarQuotes: true,
  nestedComments: true,
  lineComment: /--/y,
  lineEnd: /[\n\r]/g,
  runComment: undefined,
  parameter: /\$\d+|:[A-Za-z_]\w*/y,
}

const MYSQL: Lexis = {
  // With ANSI_QUOTES "…" is a name; the mode is not known here, and a name that is hidden does less harm than a value that is not.
  strings: `'"`,
  identifiers: '`',
  backslashes: true,
  prefix: /[bnx](?=')/iy,
  dollarQuotes: false,
  nestedComments: false,
  // `5--3` is 8.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: MySQL takes them for spaces here
  lineComment: /#|--(?=[\x00- \x7f]|$)/y,
  lineEnd: /\n/g,
  runComment: /\/\*!(?:\d{5,6})?/y,
  parameter: /\?|\$\d+|:[A-Za-z_]\w*/y,
}

const MARIADB: Lexis = { ...MYSQL, runComment: /\/\*M?!(?:\d{5,6})?/y }

const SQLITE: Lexis = {
  strings: "'",
  identifiers: '"`[',
  backslashes: false,
  prefix: /x(?=')/iy,
  dollarQuotes: false,
  nestedComments: false,
  lineComment: /--/y,
  lineEnd: /\n/g,
  runComment: undefined,
  parameter: /\?\d*|[$:@][\w$\u0080-\uffff]+/y,
}

const DIALECTS: Record<string, Lexis> = { mysql: MYSQL, mariadb: MARIADB, sqlite: SQLITE }

export function lexisOf(dialect: string): Lexis {
  return (Object.hasOwn(DIALECTS, dialect) ? DIALECTS[dialect] : undefined) ?? POSTGRESQL
}

// A no-break space is a letter to all of them.
const SPACE = /[ \t\n\r\f\v]+/y
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y
/** With what follows it directly: `0xff`, `1e5`, but also `1abc`. */
const NUMBER = /(?:\d[\d_]*(?:\.(?!\.)[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?[\w$\u0080-\uffff]*/y
/** None holds or makes up with its neighbour the start of a comment. */
const SYMBOL =
  /::|:=|\.\.|->>?|#>>?|#-(?!-)|@>|<@|@\?|@@|\?[|&]|\|\||<=>|<=|>=|<>|!=|==|!~\*?|~\*|&&|<<|>>|=>|[\s\S]/y
const DOLLAR_QUOTE = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y
const ESCAPED_EDGES: Record<string, RegExp> = { "'": /['\\]/g, '"': /["\\]/g }
const COMMENT_EDGE = /\/\*|\*\//g

/**
 * Reads an SQL text token by token, as the database does: only then is it known where a text ends, whatever it holds. Nothing looks
 * back, and nothing that has been looked at in vain is looked at again and again, so it takes linear time.
 */
export class SqlLexer {
  readonly #sql: string
  readonly #lexis: Lexis
  #at = 0
  /** Whether it is inside of `/*!`. */
  #runsComment = false

  constructor(sql: string, lexis: Lexis) {
    this.#sql = sql
    this.#lexis = lexis
  }

  next(): SqlToken | undefined {
    const start = this.#at
    if (start >= this.#sql.length) return undefined
    const kind = this.#advance()
    return { kind, text: this.#sql.slice(start, this.#at) }
  }

  #advance(): Kind {
    if (this.#takes(SPACE)) return 'space'
    const { prefix, parameter, strings, identifiers } = this.#lexis
    const first = this.#sql[this.#at] as string
    const escapes = this.#lexis.backslashes || first === 'e' || first === 'E'
    if (this.#takes(prefix)) {
      return this.#sql[this.#at] === '"' ? this.#identifier('"') : this.#string("'", escapes)
    }
    if (this.#takes(WORD)) return 'word'
    if (strings.includes(first)) return this.#string(first, this.#lexis.backslashes)
    if (identifiers.includes(first)) return this.#identifier(first === '[' ? ']' : first)
    if (this.#takes(NUMBER)) return 'number'
    if (first === '$' && this.#takesDollarQuote()) return 'string'
    return this.#comment() ?? this.#symbol(parameter)
  }

  #takes(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at
    if (!pattern.test(this.#sql)) return false
    this.#at = pattern.lastIndex
    return true
  }

  #symbol(parameter: RegExp): Kind {
    // `::` is no parameter, `?|` of PostgreSQL neither.
    if (!this.#sql.startsWith('::', this.#at) && this.#takes(parameter)) return 'parameter'
    this.#takes(SYMBOL)
    return 'symbol'
  }

  #string(quote: string, escapes: boolean): Kind {
    // `E'a'`, a line's end, and `'b'` are one text to PostgreSQL, and a backslash escapes in all of it.
    const mayGoOn = escapes && !this.#lexis.backslashes
    do this.#at = this.#endOfQuote(quote, escapes) ?? this.#sql.length
    while (mayGoOn && this.#takesContinuation())
    return 'string'
  }

  #identifier(quote: string): Kind {
    const end = this.#endOfQuote(quote, false)
    this.#at = end ?? this.#sql.length
    // What is in there may be anything, a text too.
    return end === undefined ? 'string' : 'identifier'
  }

  /** @returns undefined when there is none */
  #endOfQuote(quote: string, escapes: boolean): number | undefined {
    const sql = this.#sql
    const edge = escapes ? ESCAPED_EDGES[quote] : undefined
    for (let at = this.#at + 1; ; ) {
      const end = edge === undefined ? sql.indexOf(quote, at) : indexOf(edge, sql, at)
      if (end === -1) return undefined
      // After a backslash anything; a quote twice stands for one.
      if (sql[end] === '\\' || (sql[end + 1] === quote && quote !== ']')) at = end + 2
      else return end + 1
    }
  }

  /** Takes what is between the parts of a text, if another part comes. */
  #takesContinuation(): boolean {
    const start = this.#at
    for (;;) {
      if (this.#takes(this.#lexis.lineComment)) this.#at = this.#indexOf(this.#lexis.lineEnd)
      else if (!this.#takes(SPACE)) break
    }
    if (this.#sql[this.#at] === "'" && /[\n\r]/.test(this.#sql.slice(start, this.#at))) return true
    this.#at = start
    return false
  }

  #takesDollarQuote(): boolean {
    const start = this.#at
    if (!this.#lexis.dollarQuotes || !this.#takes(DOLLAR_QUOTE)) return false
    const tag = this.#sql.slice(start, this.#at)
    const end = this.#sql.indexOf(tag, this.#at)
    this.#at = end === -1 ? this.#sql.length : end + tag.length
    return true
  }

  /** @returns undefined when there is none here */
  #comment(): Kind | undefined {
    const { lineComment, lineEnd, runComment } = this.#lexis
    if (runComment !== undefined && this.#takes(runComment)) {
      this.#runsComment = true
      return 'symbol'
    }
    if (this.#runsComment && this.#sql.startsWith('*/', this.#at)) {
      this.#runsComment = false
      this.#at += 2
      return 'symbol'
    }
    if (this.#takes(lineComment)) {
      this.#at = this.#indexOf(lineEnd)
      return 'comment'
    }
    if (!this.#sql.startsWith('/*', this.#at)) return undefined
    this.#at += 2
    for (let depth = 1; depth > 0 && this.#at < this.#sql.length; ) {
      const edge = this.#indexOf(COMMENT_EDGE)
      if (this.#sql[edge] === '*') depth--
      else if (this.#lexis.nestedComments) depth++
      this.#at = Math.min(edge + 2, this.#sql.length)
    }
    return 'comment'
  }

  /** Where it comes next; the end when it does not. */
  #indexOf(pattern: RegExp): number {
    const index = indexOf(pattern, this.#sql, this.#at)
    return index === -1 ? this.#sql.length : index
  }
}

function indexOf(pattern: RegExp, sql: string, from: number): number {
  pattern.lastIndex = from
  return pattern.exec(sql)?.index ?? -1
}
