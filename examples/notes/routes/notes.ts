import type { FastifyInstance } from 'fastify'
import { collection, filterQuery, limitOffset, type QueryOf, Repository } from 'fastify-sqlassist/repository'
import { auditWrites } from '../audit.ts'
import { Author, Note } from '../entities.ts'
import { problem } from '../errors.ts'
import { byId, errorsOf, pageOf, paging } from '../schemas.ts'

interface ById {
  Params: { id: number }
}
interface NoteInput {
  author: number
  title: string
  text: string
}

/** What a client may look for, besides an author. */
const filters = filterQuery(Note, {
  search: { fields: ['title', 'text', 'author.name'], ignoreCase: true },
  createdAt: true,
  orderBy: ['id', 'title', 'createdAt'],
})

export async function notes(app: FastifyInstance): Promise<void> {
  auditWrites(app)

  app.get<{ Querystring: QueryOf<typeof filters> & { limit: number; offset: number; author?: number } }>(
    '',
    {
      schema: {
        tags: ['notes'],
        summary: 'List notes',
        querystring: {
          type: 'object',
          properties: {
            ...paging,
            author: { ...byId.properties.id, description: 'only those of this author' },
            ...filters.querystring.properties,
          },
        },
        response: { 200: pageOf('Note'), ...errorsOf(400) },
      },
    },
    async request => {
      const { limit, offset, author } = request.query
      const notes = new Repository(Note, request.db.reader).load('author')
      const [items, total] = await notes.listAndCount(
        ...filters.parse(request.query),
        collection('author', author === undefined ? undefined : [author]),
        limitOffset(limit, offset),
      )
      return { items, total, limit, offset }
    },
  )

  app.post<{ Body: NoteInput }>(
    '',
    {
      schema: {
        tags: ['notes'],
        summary: 'Add a note',
        body: { $ref: 'NoteInput#' },
        response: { 201: { description: 'Saved', $ref: 'Note#' }, ...errorsOf(400, 422) },
      },
    },
    async (request, reply) => {
      const { title, text, author: id } = request.body
      // The writer is asked, not the reader: an author who was added a moment ago must be found.
      const author = await request.db.writer.findOne(Author, id)
      if (author === null) throw problem(422, `There is no author ${id}`)
      const note = request.db.writer.create(Note, { title, text, author })
      reply.code(201)
      return note
    },
  )

  app.get<ById>(
    '/:id',
    {
      schema: {
        tags: ['notes'],
        summary: 'Get a note',
        description: 'From a standby that has what this client has written (it tells by a cookie).',
        params: byId,
        response: { 200: { description: 'The note', $ref: 'Note#' }, ...errorsOf(400, 404) },
      },
    },
    request => request.db.reader.findOneOrFail(Note, request.params.id, { populate: ['author'] }),
  )

  app.patch<ById & { Body: Partial<Pick<NoteInput, 'title' | 'text'>> }>(
    '/:id',
    {
      schema: {
        tags: ['notes'],
        summary: 'Change a note',
        params: byId,
        body: { $ref: 'NotePatch#' },
        response: { 200: { description: 'Saved', $ref: 'Note#' }, ...errorsOf(400, 404) },
      },
    },
    async request => {
      const { writer } = request.db
      const note = await writer.findOneOrFail(Note, request.params.id, { populate: ['author'] })
      return writer.assign(note, request.body)
    },
  )

  app.delete<ById>(
    '/:id',
    {
      schema: {
        tags: ['notes'],
        summary: 'Delete a note',
        params: byId,
        response: { 204: { description: 'Deleted', type: 'null' }, ...errorsOf(400, 404) },
      },
    },
    async (request, reply) => {
      const note = await request.db.writer.findOneOrFail(Note, request.params.id)
      request.db.writer.remove(note)
      return reply.code(204).send()
    },
  )
}
