import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { Note } from '../entities.ts'
import { problem } from '../errors.ts'
import { acceptForms } from '../forms.ts'
import { ACTIONS, type Action } from './cluster.ts'
import { doneUrl } from './messages.ts'
import type { ControlRoom } from './room.ts'

const READS = 20
const CLAPS = 5

/**
 * What nobody should be able to do to a service that means it: they are there on the embedded cluster only. All are forms, so that
 * they work without scripts; another site's forms are refused by `acceptForms`.
 */
export async function buttons(app: FastifyInstance, { room }: { room: ControlRoom }): Promise<void> {
  acceptForms(app)
  const schema = { hide: true } as const
  // Answered with 303, which is to commit; and a standby may not have the newest note yet.
  const config = { db: { commitMode: 'autocommit_include_redirect', consistency: 'primary' } } as const

  app.post<{ Params: { name: string; action: Action } }>(
    '/servers/:name/:action',
    {
      schema: {
        ...schema,
        params: { type: 'object', properties: { name: { type: 'string' }, action: { enum: ACTIONS } } },
      },
    },
    async (request, reply) => {
      const { name, action } = request.params
      const server = room.controlled.find(one => one.name === name)
      if (server === undefined) throw problem(404, 'There is no such standby')
      const isDone = await server.do(action)
      room.tell()
      return reply.redirect(doneUrl(isDone ? action : 'nothing', name), 303)
    },
  )

  // Requests of the same visitor, one after the other: with the cookie that tells what the visitor has written.
  app.post('/reads', { schema }, async (request, reply) => {
    const { cookie = '' } = request.headers
    for (let read = 0; read < READS; read++) {
      await app.inject({ url: '/notes?limit=3', headers: { cookie } })
    }
    return reply.redirect(doneUrl('reads'), 303)
  })

  app.post<{ Body: { enabled?: 'on' | 'off' } }>(
    '/flag',
    {
      schema: {
        ...schema,
        body: { type: 'object', required: ['enabled'], properties: { enabled: { enum: ['on', 'off'] } } },
      },
    },
    async (request, reply) => {
      const enabled = request.body.enabled === 'on'
      await app.flags.storage.upsert({ name: 'latest-notes', enabled }, { author: 'the start page' })
      await app.flags.sync()
      return reply.redirect(doneUrl(enabled ? 'on' : 'off'), 303)
    },
  )

  app.post('/claps', { config, schema }, async (request, reply) => {
    const [newest] = await request.db.reader.find(Note, {}, { orderBy: { id: 'desc' }, limit: 1 })
    if (newest === undefined) return reply.redirect(doneUrl('no-note'), 303)
    // Somebody else each time, as it counts once for each visitor. One transaction, and then the projection.
    const recorded = []
    for (let clap = 0; clap < CLAPS; clap++) {
      recorded.push(...(await request.events.clap(newest.id, randomUUID())))
    }
    await request.db.commit()
    await room.catchUp(recorded)
    return reply.redirect(doneUrl('claps'), 303)
  })
}
