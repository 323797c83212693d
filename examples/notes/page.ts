import { UniqueConstraintViolationException } from '@mikro-orm/postgresql'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { EngineName } from 'fastify-sqlassist'
import { audit, auditWrites } from './audit.ts'
import type { Message } from './banner.ts'
import { reportEngines } from './engine-report.ts'
import { AuditLine, Author, Note } from './entities.ts'
import { acceptForms } from './forms.ts'
import { asPage } from './layout.ts'
import { type Failed, notesPage } from './page-view.ts'
import { authorName, byId, noteText, noteTitle } from './schemas.ts'
import { greetVisitor } from './visitor.ts'
import { rememberWriter } from './visitor-segments.ts'

interface AuthorForm {
  name: string
}
interface NoteForm {
  author: number
  title: string
  text?: string
}
/** What the redirect after a form says: the id of what was saved. */
interface Saved {
  author?: number
  note?: number
}

interface Shown {
  saved?: Saved
  problem?: string
  failed?: Failed
}

// A form is answered with 303 when it worked, and that must commit as well.
const config = { db: { commitMode: 'autocommit_include_redirect' } } as const

/** All authors and their notes, what each engine did for the page, and the audit trail; with two forms. It works without JavaScript. */
export async function page(
  app: FastifyInstance,
  { servers }: { servers: Record<EngineName, string> },
): Promise<void> {
  auditWrites(app)
  // In this plugin only: the JSON routes go on refusing forms.
  acceptForms(app)
  app.addHook('onRequest', greetVisitor)

  app.get<{ Querystring: Saved }>(
    '/notes-page',
    {
      schema: {
        hide: true,
        querystring: { type: 'object', properties: { author: byId.properties.id, note: byId.properties.id } },
      },
    },
    async (request, reply) => show(request, reply, { saved: request.query }),
  )

  app.post<{ Body: AuthorForm }>(
    '/page/authors',
    {
      config,
      attachValidation: true,
      schema: {
        hide: true,
        summary: 'Add an author (form)',
        body: {
          type: 'object',
          required: ['name'],
          additionalProperties: false,
          properties: { name: authorName },
        },
      },
    },
    async (request, reply) => {
      if (request.validationError) {
        return show(request, reply.code(400), {
          problem: 'A name has 1 to 80 characters.',
          failed: { author: { ...request.body } },
        })
      }
      const { writer } = request.db
      const { name } = request.body
      const author = writer.create(Author, { name })
      try {
        // Without this line the plugin would flush after the handler, and the error handler would answer.
        await writer.flush()
      } catch (error) {
        if (!(error instanceof UniqueConstraintViolationException)) throw error
        // The 409 would do that as well, but only after the page, which asks this pool for a connection too.
        await request.db.rollback()
        const problem = `There is an author named “${name}” already. The writer has rolled back.`
        return show(request, reply.code(409), { problem, failed: { author: { name } } })
      }
      return reply.redirect(`/notes-page?author=${author.id}`, 303)
    },
  )

  app.post<{ Body: NoteForm }>(
    '/page/notes',
    {
      config,
      attachValidation: true,
      schema: {
        hide: true,
        summary: 'Add a note (form)',
        body: {
          type: 'object',
          required: ['author', 'title'],
          additionalProperties: false,
          properties: { author: byId.properties.id, title: noteTitle, text: noteText },
        },
      },
    },
    async (request, reply) => {
      if (request.validationError) {
        const problem =
          'A note has an author, a title of 1 to 120 characters and at most 10,000 characters of text.'
        return show(request, reply.code(400), { problem, failed: { note: { ...request.body } } })
      }
      const { author: id, title, text = '' } = request.body
      const { writer } = request.db
      const author = await writer.findOne(Author, id)
      if (author === null) {
        await request.db.rollback()
        return show(request, reply.code(422), {
          problem: 'This author is gone.',
          failed: { note: request.body },
        })
      }
      const note = writer.create(Note, { title, text, author })
      await writer.flush()
      await rememberWriter(request, author.name)
      return reply.redirect(`/notes-page?note=${note.id}`, 303)
    },
  )

  async function show(request: FastifyRequest, reply: FastifyReply, { saved = {}, problem, failed }: Shown) {
    await audit(request, reply)
    const { reader, logger } = request.db
    const [authors, lines] = await Promise.all([
      reader.find(Author, {}, { orderBy: { id: 'desc' }, limit: 50, populate: ['notes'] }),
      logger.find(AuditLine, {}, { orderBy: { id: 'desc' }, limit: 10 }),
    ])
    const message: Message | undefined = problem
      ? { kind: 'problem', text: problem }
      : await outcomeOf(request, saved)
    const engines = await reportEngines(app, request, servers)
    asPage(reply)
    return notesPage({ authors, lines, engines, message, failed })
  }
}

/** Asks the reader for what has just been saved: the cookie of the redirect sees to it that the reader has it. */
async function outcomeOf(request: FastifyRequest, saved: Saved): Promise<Message | undefined> {
  const { reader } = request.db
  if (saved.author === undefined && saved.note === undefined) return undefined
  const found = saved.author
    ? await reader.count(Author, { id: saved.author })
    : await reader.count(Note, { id: saved.note ?? 0 })
  return found
    ? { kind: 'success', text: 'Saved. The writer had committed before the redirect to this page was sent.' }
    : { kind: 'success', text: 'It is not there any more.' }
}
