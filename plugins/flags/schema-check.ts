import type { FastifySchema } from 'fastify'
import { errors } from './errors.ts'

/** The part of JSON Schema that the routes of the flags use; OpenAPI 3.0 understands it as it is. */
export interface Schema {
  readonly type?: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean'
  readonly nullable?: boolean
  readonly properties?: { readonly [name: string]: Schema }
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean
  readonly items?: Schema
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly description?: string
}

/** What Swagger shows of a route besides; the types of Fastify know of it only where @fastify/swagger is imported. */
export function shown(schema: FastifySchema & { tags: readonly string[]; summary: string }): FastifySchema {
  return schema
}

/** Deeper values would end the stack of whoever writes them as JSON. */
const DEEPEST = 32

/**
 * For the option `validatorCompiler` of a route: checks exactly what the schema says. The application's Ajv would by default
 * drop a misspelt property in silence, take `""` for `null`, `null` for `false` and `"ann"` for `["ann"]`; a flag that is
 * changed by a guess is changed for everybody.
 */
export function strictValidator({ schema, httpPart }: { schema: unknown; httpPart?: string | undefined }) {
  return (value: unknown): true | { error: Error } => {
    const where = httpPart ?? 'body'
    const problem = problemOfJson(where, value, 0) ?? problemIn(where, value, schema as Schema)
    return problem === undefined ? true : { error: new errors.SQLA_ERR_FLAG_REQUEST(problem) }
  }
}

/** For the option `serializerCompiler`: what was stored by others goes out as it is, and never fails. */
export function plainSerializer(): (data: unknown) => string {
  return data => {
    if (!(data instanceof Error)) return JSON.stringify(data)
    // Fastify's own error handler leaves it to the schema which members of an error go out.
    const { statusCode, code, error, message } = data as Error & Record<string, unknown>
    return JSON.stringify({ statusCode, code, error, message })
  }
}

/** What JSON can say and a database cannot keep. */
function problemOfJson(where: string, value: unknown, depth: number): string | undefined {
  if (depth > DEEPEST) return `${where} is nested more than ${DEEPEST} levels deep`
  if (typeof value === 'string' && (!value.isWellFormed() || value.includes('\0'))) {
    return `${where} is not a well-formed text`
  }
  if (typeof value !== 'object' || value === null) return undefined
  for (const [key, item] of Object.entries(value)) {
    const problem =
      problemOfJson(`a key of ${where}`, key, depth) ??
      problemOfJson(`${where}.${key.slice(0, 40)}`, item, depth + 1)
    if (problem !== undefined) return problem
  }
  return undefined
}

function problemIn(where: string, value: unknown, schema: Schema): string | undefined {
  const { type } = schema
  if (type === undefined || (value === null && schema.nullable)) return undefined
  if (!isOfType(value, type)) return `${where} must be ${schema.nullable ? 'null or ' : ''}of type ${type}`
  if (typeof value === 'string') return problemOfText(where, value, schema)
  if (typeof value === 'number') return problemOfNumber(where, value, schema)
  if (Array.isArray(value)) return problemOfItems(where, value, schema)
  return type === 'object' ? problemOfProperties(where, value as Record<string, unknown>, schema) : undefined
}

function isOfType(value: unknown, type: NonNullable<Schema['type']>): boolean {
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  return type === 'integer' ? Number.isSafeInteger(value) : typeof value === type
}

function problemOfText(where: string, text: string, schema: Schema): string | undefined {
  if (schema.enum && !schema.enum.includes(text)) return `${where} must be one of ${schema.enum.join(', ')}`
  if (text.length < (schema.minLength ?? 0)) return `${where} must not be empty`
  const { maxLength = Number.POSITIVE_INFINITY } = schema
  return text.length > maxLength ? `${where} has more than ${maxLength} characters` : undefined
}

function problemOfNumber(where: string, number: number, schema: Schema): string | undefined {
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema
  if (number < minimum) return `${where} must be ${minimum} or more`
  return number > maximum ? `${where} must be ${maximum} or less` : undefined
}

function problemOfItems(where: string, list: readonly unknown[], schema: Schema): string | undefined {
  if (list.length < (schema.minItems ?? 0)) return `${where} must not be empty`
  const { items = {} } = schema
  for (const [index, item] of list.entries()) {
    const problem = problemIn(`${where}.${index}`, item, items)
    if (problem !== undefined) return problem
  }
  return undefined
}

function problemOfProperties(
  where: string,
  object: Record<string, unknown>,
  { properties = {}, required = [], additionalProperties = true }: Schema,
): string | undefined {
  const missing = required.find(name => !Object.hasOwn(object, name))
  if (missing !== undefined) return `${where}.${missing} is missing`
  for (const [name, item] of Object.entries(object)) {
    if (Object.hasOwn(properties, name)) {
      const problem = problemIn(`${where}.${name}`, item, properties[name] ?? {})
      if (problem !== undefined) return problem
    } else if (!additionalProperties) {
      return `${where}.${name.slice(0, 40)} is not known here; there are: ${Object.keys(properties).join(', ') || 'none'}`
    }
  }
  return undefined
}
