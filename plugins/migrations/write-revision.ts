import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MigratedEngine } from './migrated-engine.ts'
import { listRevisions, nextTimestamp, slugOf } from './revisions.ts'
import type { SchemaDiff } from './schema.ts'

/** Writes the file of a revision. @returns its path */
export async function writeRevision(
  engine: MigratedEngine,
  message: string,
  { up, down }: SchemaDiff,
): Promise<string> {
  const newest = (await listRevisions(engine)).at(-1)?.name
  const name = [nextTimestamp(new Date(), newest), slugOf(message)].filter(part => part !== '').join('_')
  const file = join(engine.folder, `${name}.${engine.emit}`)
  const isTyped = engine.emit === 'ts'
  const lines = [
    "import { Migration } from '@mikro-orm/migrations'",
    '',
    `/** ${message.replaceAll('*/', '* /').replace(/\s+/g, ' ').trim()} */`,
    `export class ${classNameOf(name)} extends Migration {`,
    ...method('up', up, isTyped),
    '',
    ...method('down', down, isTyped),
    '}',
    '',
  ]
  await mkdir(engine.folder, { recursive: true })
  await writeFile(file, lines.join('\n'), { flag: 'wx' })
  return file
}

function classNameOf(name: string): string {
  return `Migration${name.replace(/[^\p{L}\p{N}_]/gu, '_')}`
}

function method(name: 'up' | 'down', statements: readonly string[], isTyped: boolean): string[] {
  return [
    isTyped ? `  override ${name}(): void {` : `  ${name}() {`,
    ...statements.map(sql => call(literal(layOut(sql)))),
    '  }',
  ]
}

function call(text: string): string {
  const line = `    this.addSql(${text})`
  return line.length > 100 && !text.includes('\n') ? `    this.addSql(\n      ${text},\n    )` : line
}

/** In a template where the SQL reads as it is; SQL that quotes with backticks would be half backslashes there. */
function literal(lines: readonly string[]): string {
  const inString = (text: string): string => (/['\\]/.test(text) ? JSON.stringify(text) : `'${text}'`)
  if (!lines.some(line => line.includes('`'))) {
    return `\`${lines.join('\n    ').replace(/\$(?=\{)|\\/g, '\\$&')}\``
  }
  if (lines.length === 1) return inString(lines[0] as string)
  return `[\n${lines.map(line => `      ${inString(line)},\n`).join('')}    ].join('\\n')`
}

/** One column per line: a `create table` is what people read most in a revision. */
function layOut(sql: string): string[] {
  const statement = sql.replace(/;$/, '')
  const open = statement.indexOf('(')
  // A line break may be part of a literal, and what a backslash means there differs from database to database.
  if (!/^create table /i.test(statement) || open < 0 || /[\\\n]/.test(statement)) return [statement]
  const parts: string[] = []
  let depth = 0
  let quote: string | undefined
  let start = open + 1
  for (let index = open; index < statement.length; index++) {
    const sign = statement[index] as string
    if (quote !== undefined) {
      // A doubled quote ends and begins again, which comes to the same.
      if (sign === quote) quote = undefined
    } else if (`'"\``.includes(sign)) quote = sign
    else if (sign === '(') depth++
    else if (sign === ',' && depth === 1) {
      parts.push(statement.slice(start, index))
      start = index + 1
    } else if (sign === ')' && --depth === 0) {
      parts.push(statement.slice(start, index))
      const last = parts.length - 1
      const columns = parts.map((part, place) => `  ${part.trim()}${place === last ? '' : ','}`)
      return [statement.slice(0, open + 1), ...columns, statement.slice(index)]
    }
  }
  return [statement]
}
