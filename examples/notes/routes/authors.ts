import { LockMode } from '@mikro-orm/postgresql'
import type { FastifyInstance } from 'fastify'
import { auditWrites } from '../audit.ts'
import { Author, Note } from '../entities.ts'
import { problem } from '../errors.ts'
import { byId, errorsOf, pageOf, paging } from '../schemas.ts'

interface ById {
  Params: { id: number }
}
interface AuthorInput {
  name: string
}

export async function authors(app: FastifyInstance): Promise<void> {
  auditWrites(app)

  app.get<{ Querystring: { limit: number; offset: number } }>(
    '',
    {
      schema: {
        tags: ['authors'],
        summary: 'List authors',
        querystring: { type: 'object', properties: paging },
        response: { 200: pageOf('Author'), ...errorsOf(400) },
      },
    },
    async request => {
      const { limit, offset } = request.query
      const [items, total] = await request.db.reader.findAndCount(
        Author,
        {},
        { limit, offset, orderBy: { id: 'asc' } },
      )
      return { items, total, limit, offset }
    },
  )

  app.post<{ Body: AuthorInput }>(
    '',
    {
      schema: {
        tags: ['authors'],
        summary: 'Add an author',
        description: 'The id comes from the database; the author is committed before the 201 leaves.',
        body: { $ref: 'AuthorInput#' },
        response: { 201: { description: 'Saved', $ref: 'Author#' }, ...errorsOf(400, 409) },
      },
    },
    async (request, reply) => {
      const author = request.db.writer.create(Author, request.body)
      reply.code(201)
      return author
    },
  )

  app.get<ById>(
    '/:id',
    {
      schema: {
        tags: ['authors'],
        summary: 'Get an author',
        params: byId,
        response: { 200: { description: 'The author', $ref: 'Author#' }, ...errorsOf(400, 404) },
      },
    },
    request => request.db.reader.findOneOrFail(Author, request.params.id),
  )

  app.patch<ById & { Body: AuthorInput }>(
    '/:id',
    {
      schema: {
        tags: ['authors'],
        summary: 'Rename an author',
        params: byId,
        body: { $ref: 'AuthorInput#' },
        response: { 200: { description: 'Saved', $ref: 'Author#' }, ...errorsOf(400, 404, 409) },
      },
    },
    async request => {
      const author = await request.db.writer.findOneOrFail(Author, request.params.id)
      author.name = request.body.name
      return author
    },
  )

  app.delete<ById>(
    '/:id',
    {
      schema: {
        tags: ['authors'],
        summary: 'Delete an author',
        description: 'Refused with 409 while the author has notes: transfer or delete them first.',
        params: byId,
        response: { 204: { description: 'Deleted', type: 'null' }, ...errorsOf(400, 404, 409) },
      },
    },
    async (request, reply) => {
      const author = await request.db.writer.findOneOrFail(Author, request.params.id)
      request.db.writer.remove(author)
      return reply.code(204).send()
    },
  )

  app.post<ById & { Body: { to: number; removeAuthor: boolean } }>(
    '/:id/transfer',
    {
      schema: {
        tags: ['authors'],
        summary: 'Transfer notes',
        description:
          'Gives all notes of one author to another, and deletes the giver if asked to. Several statements in ' +
          'one transaction: all of it happens or nothing.',
        params: byId,
        body: { $ref: 'Transfer#' },
        response: {
          200: {
            description: 'Transferred',
            type: 'object',
            required: ['transferred'],
            properties: { transferred: { type: 'integer', description: 'how many notes' } },
          },
          ...errorsOf(400, 404, 422),
        },
      },
    },
    async request => {
      const { writer } = request.db
      const from = request.params.id
      const { to, removeAuthor } = request.body
      if (from === to) throw problem(422, 'These are the same author')

      // Always in the order of the ids: two transfers in opposite directions wait for each other's end, not for
      // each other.
      const both = await writer.find(
        Author,
        { id: [from, to] },
        { orderBy: { id: 'asc' }, lockMode: LockMode.PESSIMISTIC_WRITE },
      )
      const giver = both.find(author => author.id === from)
      const taker = both.find(author => author.id === to)
      if (!giver) throw problem(404, `There is no author ${from}`)
      if (!taker) throw problem(422, `There is no author ${to}`)

      const transferred = await writer.nativeUpdate(Note, { author: giver }, { author: taker })
      if (removeAuthor) writer.remove(giver)
      return { transferred }
    },
  )
}
