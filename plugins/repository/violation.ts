/** What a client did that a database refuses; a deadlock or a syntax error is none. */
export type ViolationKind = 'unique' | 'foreignKey' | 'check' | 'notNull' | 'value'

/**
 * What a driver says about a violation, in the words of the database. Each part is there only when the driver told
 * it; nothing of it has been compared with the metadata yet.
 */
export interface Violation {
  readonly kind: ViolationKind
  readonly schema?: string | undefined
  /** The table with the constraint: for a foreign key the one that refers. */
  readonly table?: string | undefined
  readonly constraint?: string | undefined
  readonly columns?: readonly string[] | undefined
  /** SQLite's `table.column, table.column`: where a name ends is only known to who knows the names. */
  readonly qualifiedColumns?: string | undefined
  /** The text of a check, which is all that SQLite has when the check has no name. */
  readonly expression?: string | undefined
  /** Of a foreign key: the row that is referred to is missing, or it is still referred to. */
  readonly side?: 'missing' | 'referred' | undefined
  /** Of a value: what is wrong with it, to follow "is". */
  readonly reason?: string | undefined
}

interface Fields {
  readonly code?: unknown
  readonly errno?: unknown
  readonly message: string
  readonly [field: string]: unknown
}

/** Whether a driver says that the client's data cannot be what they are, and what it says. */
export function violationOf(error: unknown): Violation | undefined {
  if (!(error instanceof Error)) return undefined
  const fields = error as unknown as Fields
  const { code, errno, sqlState } = fields
  if (typeof code !== 'string') return undefined
  if (typeof errno === 'number' && typeof sqlState === 'string') return mysqlViolation(errno, fields)
  if (/^[0-9A-Z]{5}$/.test(code) && typeof fields.severity === 'string') return pgViolation(code, fields)
  const isSqlite = code.startsWith('SQLITE_') || code === 'ERR_SQLITE_ERROR'
  return isSqlite ? sqliteViolation(fields) : undefined
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/**
 * PostgreSQL names everything in fields of their own, in every language.
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
function pgViolation(code: string, fields: Fields): Violation | undefined {
  const where = {
    schema: text(fields.schema),
    table: text(fields.table),
    constraint: text(fields.constraint),
    columns: detailColumns(text(fields.detail)),
  }
  switch (code) {
    case '23505':
    case '23P01': // exclusion constraint
      return { kind: 'unique', ...where }
    case '23503':
      return { kind: 'foreignKey', ...where, side: pgSide(fields) }
    case '23001': // ON DELETE RESTRICT since PostgreSQL 18
      return { kind: 'foreignKey', ...where, side: 'referred' }
    case '23514':
      return { kind: 'check', ...where, columns: undefined }
    case '23502': {
      const column = text(fields.column)
      return { kind: 'notNull', ...where, columns: column === undefined ? undefined : [column] }
    }
    case '08P01': // the end of a statement that a NUL has cut off
      return fields.routine === 'pq_getmsgend' ? { kind: 'value', reason: NUL } : undefined
    default: {
      const reason = pgReason(code, fields)
      return reason === undefined ? undefined : { kind: 'value', reason }
    }
  }
}

const NUL = 'not valid: text must not contain a NUL character'
const NOT_VALID = 'not valid'

function pgReason(code: string, fields: Fields): string | undefined {
  switch (code) {
    case '22001':
      return longerThan(/\((\d+)\)/.exec(fields.message)?.[1])
    case '22003':
      return 'out of range'
    case '22008':
    case '22007':
      return 'no valid date or time'
    case '22P02': {
      const type = /^invalid input syntax for type ([a-z]+):/.exec(fields.message)?.[1]
      return type === undefined ? NOT_VALID : `no valid ${type}`
    }
    case '22021':
      return /0x00$/.test(fields.message) ? NUL : NOT_VALID
    case '22P05':
      return fields.message.includes('\\u0000') ? NUL : NOT_VALID
    case '22P03':
    case '22026':
    case '22032':
      return NOT_VALID
    default:
      return undefined
  }
}

const longerThan = (length: string | undefined): string =>
  length === undefined ? 'too long' : `longer than ${length} characters`

/** Which side of a foreign key; the message is in the language of the server, the columns are not. */
function pgSide({ message }: Fields): Violation['side'] {
  if (message.startsWith('insert or update on table')) return 'missing'
  return message.startsWith('update or delete on table') ? 'referred' : undefined
}

/** `Key (slug, "Author")=(…) …`: what stands before the first value, which is a stranger's. */
function detailColumns(detail: string | undefined): string[] | undefined {
  const list = /^[^(]*\(((?:"(?:[^"]|"")+"|[^\s",()]+)(?:, (?:"(?:[^"]|"")+"|[^\s",()]+))*)\)=\(/.exec(
    detail ?? '',
  )?.[1]
  return list
    ?.match(/"(?:[^"]|"")+"|[^\s",()]+/g)
    ?.map(name => (name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name))
}

/**
 * MySQL and MariaDB have a number and a message; which table a key belongs to is in the statement only.
 *
 * @see https://mariadb.com/kb/en/mariadb-error-code-reference/
 */
function mysqlViolation(errno: number, fields: Fields): Violation | undefined {
  const message = text(fields.sqlMessage) ?? fields.message
  const statement = statementTable(text(fields.sql))
  switch (errno) {
    case 1062:
    case 1586:
    case 1557:
    case 1569: {
      // The value stands before the key and may look like one.
      const constraint = /'([^']*)'$/.exec(message)?.[1]
      return { kind: 'unique', ...statement, constraint }
    }
    case 1216:
    case 1452:
      return { kind: 'foreignKey', ...mysqlForeignKey(message), side: 'missing' }
    case 1217:
    case 1451:
      return { kind: 'foreignKey', ...mysqlForeignKey(message), side: 'referred' }
    case 4025: {
      const [, constraint, schema, table] =
        /^CONSTRAINT `(.*)` failed for `([^`]*)`\.`([^`]*)`$/.exec(message) ?? []
      return { kind: 'check', schema, table, constraint }
    }
    case 3819:
      return { kind: 'check', ...statement, constraint: /'([^']*)'/.exec(message)?.[1] }
    case 1048:
    case 1364: {
      const column = /^\w+ '([^']*)'/.exec(message)?.[1]
      return { kind: 'notNull', ...statement, columns: column === undefined ? undefined : [column] }
    }
    case 1406:
      return { kind: 'value', ...mysqlColumn(message, statement), reason: 'too long' }
    case 1264:
      return { kind: 'value', ...mysqlColumn(message, statement), reason: 'out of range' }
    case 1265:
    case 1366:
    case 3140:
      return { kind: 'value', ...mysqlColumn(message, statement), reason: NOT_VALID }
    case 1292: {
      const reason = /^Incorrect (date|time)/.test(message) ? 'no valid date or time' : NOT_VALID
      return { kind: 'value', ...mysqlColumn(message, statement), reason }
    }
    default:
      return undefined
  }
}

type Place = Pick<Violation, 'schema' | 'table' | 'constraint' | 'columns'>

const TABLE =
  /^\s*(?:insert\s+(?:ignore\s+)?into|replace\s+into|update|delete\s+from)\s+(?:(`[^`]+`|[\w$]+)\.)?(`[^`]+`|[\w$]+)/i

function statementTable(sql: string | undefined): Place {
  const [, schema, table] = TABLE.exec(sql ?? '') ?? []
  return { schema: schema?.replaceAll('`', ''), table: table?.replaceAll('`', '') }
}

function mysqlForeignKey(message: string): Place {
  const [, schema, table, constraint, list = ''] =
    /\(`([^`]*)`\.`([^`]*)`, CONSTRAINT `([^`]*)` FOREIGN KEY \(([^)]*)\)/.exec(message) ?? []
  const columns = list.match(/`[^`]+`/g)?.map(name => name.slice(1, -1))
  return { schema, table, constraint, columns }
}

/** The value that was refused stands before the column and may look like one. */
function mysqlColumn(message: string, statement: Place): Place {
  const [, schema, table, quoted, plain] =
    /(?:(?:`([^`]*)`\.)?`([^`]*)`\.`([^`]*)`|'([^']*)') at row \d+$/.exec(message) ?? []
  if (quoted !== undefined) return { schema, table, columns: [quoted] }
  return plain === undefined ? statement : { ...statement, columns: [plain] }
}

/**
 * SQLite has one sentence, and none for a foreign key.
 *
 * @see https://www.sqlite.org/rescode.html#constraint
 */
function sqliteViolation({ code, errcode, message }: Fields): Violation | undefined {
  const [, what, names = ''] = /^(UNIQUE|NOT NULL|CHECK) constraint failed: (.*)$/s.exec(message) ?? []
  switch (what) {
    case 'UNIQUE': {
      const index = /^index '(.*)'$/.exec(names)?.[1]
      return index === undefined
        ? { kind: 'unique', qualifiedColumns: names }
        : { kind: 'unique', constraint: index }
    }
    case 'NOT NULL':
      return { kind: 'notNull', qualifiedColumns: names }
    case 'CHECK':
      return { kind: 'check', constraint: names, expression: names }
    default:
      if (message === 'FOREIGN KEY constraint failed') {
        // RESTRICT is a trigger inside; everything else is counted at the end of the statement or transaction.
        const isRestrict = code === 'SQLITE_CONSTRAINT_TRIGGER' || errcode === 1811
        return { kind: 'foreignKey', side: isRestrict ? 'referred' : undefined }
      }
      if (message === 'datatype mismatch') return { kind: 'value', reason: NOT_VALID }
      return undefined
  }
}
