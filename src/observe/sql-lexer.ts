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

/** What a character can begin. */
const SPACE = 1
const WORD = 2
/** A symbol of one character. */
const LONE = 4
/** What a word may go on with. */
const IN_WORD = 8

/** By code, for ASCII; what is above is of words. (A no-break space is a letter to all of them.) */
const CLASSES = new Uint8Array(128)
for (const space of ' \t\n\r\f\v') CLASSES[space.charCodeAt(0)] = SPACE
for (const lone of '(),;') CLASSES[lone.charCodeAt(0)] = LONE
for (let code = 0; code < 128; code++) {
  const character = String.fromCharCode(code)
  if (/[A-Za-z_]/.test(character)) CLASSES[code] = WORD | IN_WORD
  else if (/[\d$]/.test(character)) CLASSES[code] = IN_WORD
}

/** `'` and `&`. */
const QUOTE = 39
const AMPERSAND = 38

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
  /** Where the last token begins, and where it ends. */
  start = 0
  #at = 0
  /** Whether it is inside of `/*!`. */
  #runsComment = false

  constructor(sql: string, lexis: Lexis) {
    this.#sql = sql
    this.#lexis = lexis
  }

  get end(): number {
    return this.#at
  }

  next(): SqlToken | undefined {
    const kind = this.advance()
    return kind && { kind, text: this.#sql.slice(this.start, this.#at) }
  }

  /** Goes on behind the next token: {@link start} and {@link end} are its then. It makes no text, which most have no need of. */
  advance(): Kind | undefined {
    this.start = this.#at
    return this.#at < this.#sql.length ? this.#take() : undefined
  }

  /** Most are told by their first character; patterns are for the rest. */
  #take(): Kind {
    const begins = this.#classAt(this.#at)
    if ((begins & LONE) !== 0) {
      this.#at++
      return 'symbol'
    }
    if ((begins & SPACE) !== 0) {
      this.#takeAll(SPACE)
      return 'space'
    }
    if ((begins & WORD) === 0) return this.#takeOther()
    const next = this.#sql.charCodeAt(this.#at + 1)
    if (next === QUOTE || next === AMPERSAND) {
      const first = this.#sql[this.#at]
      const escapes = this.#lexis.backslashes || first === 'e' || first === 'E'
      if (this.#takes(this.#lexis.prefix)) {
        return this.#sql[this.#at] === '"' ? this.#identifier('"') : this.#string("'", escapes)
      }
    }
    this.#takeAll(IN_WORD)
    return 'word'
  }

  #classAt(at: number): number {
    const code = this.#sql.charCodeAt(at)
    return code < 128 ? (CLASSES[code] as number) : WORD | IN_WORD
  }

  /** Takes what is of the class, up to the end of the text. */
  #takeAll(wanted: number): void {
    const { length } = this.#sql
    let at = this.#at + 1
    while (at < length && (this.#classAt(at) & wanted) !== 0) at++
    this.#at = at
  }

  #takeOther(): Kind {
    const { parameter, strings, identifiers } = this.#lexis
    const first = this.#sql[this.#at] as string
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
      else if ((this.#classAt(this.#at) & SPACE) !== 0) this.#takeAll(SPACE)
      else break
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
