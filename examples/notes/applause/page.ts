import { LockMode } from '@mikro-orm/postgresql'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ProjectionRunner, Recording } from 'fastify-sqlassist/events'
import { auditWrites } from '../audit.ts'
import type { Message } from '../banner.ts'
import { Note } from '../entities.ts'
import { acceptForms } from '../forms.ts'
import { asPage } from '../layout.ts'
import { byId } from '../schemas.ts'
import { greetVisitor } from '../visitor.ts'
import { AlreadyApplauded } from './aggregate.ts'
import { readApplause } from './list.ts'
import { alreadyApplauded, applausePageView, liveScript, noteIsGone, saved } from './page-view.ts'
import { addApplauseStream } from './stream.ts'

// A standby may have the events already, and the view not yet.
const config = { db: { consistency: 'primary' } } as const

/** The notes with the most applause, and the events that it is made of. Scripts make it live; it works without them. */
export async function applausePage(
  app: FastifyInstance,
  { runner }: { runner: ProjectionRunner },
): Promise<void> {
  auditWrites(app)
  acceptForms(app)
  app.addHook('onRequest', greetVisitor)
  addApplauseStream(app, runner)
  addForm('clap', 'Applaud a note (form)', ({ events, visitor }, note) => events.clap(note, visitor))
  addForm('take-back', 'Take applause back (form)', ({ events, visitor }, note) =>
    events.takeBack(note, visitor),
  )

  app.get<{ Querystring: { event?: number } }>(
    '',
    {
      config,
      schema: { hide: true, querystring: { type: 'object', properties: { event: byId.properties.id } } },
    },
    async (request, reply) => {
      const { event } = request.query
      return show(request, reply, event === undefined ? undefined : saved(event))
    },
  )

  function addForm(
    action: string,
    summary: string,
    decide: (request: FastifyRequest, note: number) => Promise<Recording[]>,
  ): void {
    app.post<{ Params: { id: number } }>(
      `/:id/${action}`,
      { config, schema: { hide: true, summary, params: byId } },
      async (request, reply) => {
        const { db, params } = request
        // Nobody deletes it meanwhile; and who applauds the same note waits here, so that nobody is told to try again.
        const note = await db.writer.findOne(Note, params.id, { lockMode: LockMode.PESSIMISTIC_WRITE })
        if (note === null) return refuse(request, reply.code(404), noteIsGone)
        let recorded: Recording[]
        try {
          recorded = await decide(request, note.id)
        } catch (error) {
          if (!(error instanceof AlreadyApplauded)) throw error
          return refuse(request, reply.code(409), alreadyApplauded(note))
        }
        // Not after the handler, as the view can have only what is committed.
        await db.commit()
        await runner.wait(recorded).catch(err => request.log.warn({ err }, 'saved; the view will follow'))
        const event = recorded.at(-1)?.id
        return reply.redirect(event === undefined ? '/applause' : `/applause?event=${event}`, 303)
      },
    )
  }

  async function refuse(request: FastifyRequest, reply: FastifyReply, message: Message) {
    // Before the page, which asks this pool for a connection too.
    await request.db.rollback()
    return show(request, reply, message)
  }

  async function show(request: FastifyRequest, reply: FastifyReply, message: Message | undefined) {
    const list = await readApplause(request.db.reader, app.events)
    asPage(reply, liveScript)
    return applausePageView(list, message)
  }
}
