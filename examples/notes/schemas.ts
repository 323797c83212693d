import type { FastifyInstance } from 'fastify'

// Shared JSON schemas; routes refer to them by $ref. Responses have schemas too: they decide what leaves, so a
// column that is added to an entity does not leak by itself.

const id = { type: 'integer', minimum: 1, maximum: 2_147_483_647, examples: [1] } as const

/** No NUL, which PostgreSQL cannot store; in what must not be blank, something else than spaces. */
const STORABLE = '^[^\\u0000]*$'
const NOT_BLANK = '^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$'

export const authorName = { type: 'string', minLength: 1, maxLength: 80, pattern: NOT_BLANK } as const
export const noteTitle = { type: 'string', minLength: 1, maxLength: 120, pattern: NOT_BLANK } as const
export const noteText = { type: 'string', maxLength: 10_000, pattern: STORABLE } as const

export function addSchemas(app: FastifyInstance): void {
  for (const schema of schemas) app.addSchema(schema)
}

const schemas = [
  {
    $id: 'Author',
    type: 'object',
    required: ['id', 'name', 'createdAt'],
    properties: {
      id,
      name: { type: 'string', examples: ['Ada Lovelace'] },
      createdAt: { type: 'string', format: 'date-time' },
    },
  },
  {
    $id: 'Note',
    type: 'object',
    required: ['id', 'title', 'text', 'createdAt', 'author'],
    properties: {
      id,
      title: { type: 'string', examples: ['On the Analytical Engine'] },
      text: { type: 'string' },
      createdAt: { type: 'string', format: 'date-time' },
      author: {
        type: 'object',
        required: ['id', 'name'],
        properties: { id, name: { type: 'string' } },
      },
    },
  },
  {
    $id: 'AuthorInput',
    type: 'object',
    required: ['name'],
    additionalProperties: false,
    properties: { name: { ...authorName, examples: ['Ada Lovelace'] } },
  },
  {
    $id: 'NoteInput',
    type: 'object',
    required: ['author', 'title'],
    additionalProperties: false,
    properties: {
      author: { ...id, description: 'id of an author' },
      title: { ...noteTitle, examples: ['On the Analytical Engine'] },
      text: { ...noteText, default: '' },
    },
  },
  {
    $id: 'NotePatch',
    type: 'object',
    minProperties: 1,
    additionalProperties: false,
    properties: { title: noteTitle, text: noteText },
  },
  {
    $id: 'Transfer',
    type: 'object',
    required: ['to'],
    additionalProperties: false,
    properties: {
      to: { ...id, description: 'id of the author who gets the notes' },
      removeAuthor: { type: 'boolean', default: false, description: 'whether the giver is deleted after it' },
    },
  },
  {
    $id: 'Error',
    type: 'object',
    required: ['statusCode', 'error', 'message'],
    properties: {
      statusCode: { type: 'integer', examples: [409] },
      error: { type: 'string', examples: ['Conflict'] },
      message: { type: 'string', examples: ['There is already an Author with this name'] },
    },
  },
]

export const byId = { type: 'object', required: ['id'], properties: { id } } as const

export const paging = {
  limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
  offset: { type: 'integer', minimum: 0, maximum: 1_000_000, default: 0 },
} as const

/** The schema of a page of a list. */
export const pageOf = (item: string) => ({
  description: 'One page, oldest first',
  type: 'object',
  required: ['items', 'total', 'limit', 'offset'],
  properties: {
    items: { type: 'array', items: { $ref: `${item}#` } },
    total: { type: 'integer', description: 'how many there are on all pages' },
    limit: { type: 'integer' },
    offset: { type: 'integer' },
  },
})

const MEANINGS: Record<number, string> = {
  400: 'The request does not match its schema',
  404: 'There is none with this id',
  409: 'It contradicts what is there; nothing was saved',
  422: 'It refers to something that does not exist; nothing was saved',
  500: 'Something went wrong here; nothing was saved',
  503: 'The database cannot be reached, or all connections are in use; nothing was saved',
}

/** Response schemas for the errors that a route can answer with; 500 and 503 are always possible. */
export function errorsOf(...statuses: number[]) {
  return Object.fromEntries(
    [...statuses, 500, 503].map(status => [status, { description: MEANINGS[status], $ref: 'Error#' }]),
  )
}
