import { errors } from './errors.ts'
import type { ValueReader, ValueSchema } from './value-readers.ts'

/** The JSON schema of one parameter of a query string. */
export type ParameterSchema = { readonly description: string } & (
  | (ValueSchema & { readonly default?: string | number | boolean })
  | { readonly type: 'array'; readonly items: ValueSchema; readonly maxItems: number }
)

/** The JSON schema of a query string. */
export interface FilterQuerySchema {
  readonly type: 'object'
  readonly properties: Readonly<Record<string, ParameterSchema>>
  /** Fastify removes what is not described; with an Ajv that does not, it is refused. */
  readonly additionalProperties: false
}

/** A parameter of a query string: how it is described, and read. */
export interface Parameter {
  readonly name: string
  readonly schema: ParameterSchema
  /**
   * @param given what a client sent for it, whatever that is; undefined or null: nothing
   * @throws SQLA_ERR_INVALID_FILTER (400)
   */
  read(given: unknown): unknown
}

/** A parameter that is given at most once. */
export function single(
  name: string,
  description: string,
  reader: ValueReader,
  byDefault?: string | number | boolean,
): Parameter {
  return {
    name,
    schema: { ...reader.schema, description, ...(byDefault === undefined ? {} : { default: byDefault }) },
    read(given) {
      const one = Array.isArray(given) && given.length === 1 ? given[0] : given
      if (one === undefined || one === null) return byDefault
      if (Array.isArray(one)) refuse(`'${name}'`, 'must be given once')
      return reader.read(one) ?? refuse(`'${name}'`, `must be ${reader.expected}`)
    },
  }
}

/** A parameter that is given once for each value. */
export function list(name: string, description: string, reader: ValueReader, maxItems: number): Parameter {
  return {
    name,
    schema: { type: 'array', items: reader.schema, maxItems, description },
    read(given) {
      if (given === undefined || given === null) return undefined
      const values = Array.isArray(given) ? given : [given]
      if (values.length > maxItems) refuse(`'${name}'`, `takes at most ${maxItems} values`)
      return values.map(
        value => reader.read(value) ?? refuse(`every value of '${name}'`, `must be ${reader.expected}`),
      )
    },
  }
}

function refuse(what: string, problem: string): never {
  throw new errors.SQLA_ERR_INVALID_FILTER(what, problem)
}
