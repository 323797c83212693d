import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { audit, auditWrites } from '../audit.ts'
import type { Message } from '../banner.ts'
import { Author, Note } from '../entities.ts'
import { acceptForms } from '../forms.ts'
import { asPage } from '../layout.ts'
import { authorName, noteTitle } from '../schemas.ts'
import { greetVisitor } from '../visitor.ts'
import { recallVisitor, rememberWriter } from '../visitor-segments.ts'
import { type FlagData, flagView } from './flag-view.ts'
import { DONES, type Done, doneUrl, messageOf } from './messages.ts'
import type { ControlRoom } from './room.ts'
import { addStream } from './stream.ts'
import { roomPage, roomScript, roomStyle, type Written } from './view.ts'

interface Shown {
  readonly message?: Message | undefined
  /** What could not be saved. */
  readonly failed?: Written
}

/** The start page: which server each statement goes to, live, and what there is to disturb. It works without JavaScript. */
export async function startPage(
  app: FastifyInstance,
  { room, debugging }: { room: ControlRoom; debugging: boolean },
): Promise<void> {
  auditWrites(app)
  acceptForms(app)
  app.addHook('onRequest', greetVisitor)
  addStream(app, room)

  app.get<{ Querystring: { did?: Done; server?: string } }>(
    '/',
    {
      schema: {
        hide: true,
        querystring: {
          type: 'object',
          properties: { did: { enum: DONES }, server: { type: 'string', maxLength: 40 } },
        },
      },
    },
    async (request, reply) => {
      const { did, server } = request.query
      const named = room.servers().find(({ name }) => name === server)?.name
      return show(request, reply, did === undefined ? {} : { message: messageOf(did, named) })
    },
  )

  // What scripts ask for when the flag or the notes have changed: it depends on who asks.
  app.get('/latest', { exposeHeadRoute: false, schema: { hide: true } }, async (request, reply) => {
    asPage(reply)
    return flagView(await readFlag(request), room.hasButtons).text
  })

  app.post<{ Body: Written }>(
    '/write',
    {
      config: { db: { commitMode: 'autocommit_include_redirect' } },
      attachValidation: true,
      schema: {
        hide: true,
        summary: 'Write a note (start page)',
        body: {
          type: 'object',
          required: ['name', 'title'],
          additionalProperties: false,
          properties: { name: authorName, title: noteTitle },
        },
      },
    },
    async (request, reply) => {
      if (request.validationError) {
        const text = 'A note has a title of 1 to 120 characters, and a name of 1 to 80.'
        return show(request, reply.code(400), {
          message: { kind: 'problem', text },
          failed: { ...request.body },
        })
      }
      const { name, title } = request.body as Required<Written>
      const { writer } = request.db
      // Three statements, one transaction; and no author twice, whoever else writes the same name right now.
      const author = await writer.upsert(Author, { name })
      writer.create(Note, { title, author })
      await writer.flush()
      await rememberWriter(request, name)
      return reply.redirect(doneUrl('note'), 303)
    },
  )

  async function readFlag(request: FastifyRequest): Promise<FlagData> {
    await recallVisitor(request)
    const flag = request.flags.details('latest-notes', false)
    const latest = flag.value
      ? await request.db.reader.find(Note, {}, { orderBy: { id: 'desc' }, limit: 3, populate: ['author'] })
      : undefined
    return { flag, latest, visitor: request.visitor, segments: request.segments.keys() }
  }

  async function show(request: FastifyRequest, reply: FastifyReply, { message, failed }: Shown) {
    if (failed !== undefined) await audit(request, reply)
    const flag = await readFlag(request)
    await room.project()
    asPage(reply, roomScript, roomStyle)
    return roomPage({ room, flag, message, written: failed, debugging })
  }
}
