import type { FastifyInstance } from 'fastify'
import { errorsOf } from '../schemas.ts'

export async function health(app: FastifyInstance): Promise<void> {
  app.get(
    '',
    {
      schema: {
        tags: ['service'],
        summary: 'Is every server there?',
        response: {
          200: {
            description: 'Every engine has answered',
            type: 'object',
            properties: { status: { type: 'string', enum: ['ok'] } },
          },
          ...errorsOf(),
        },
      },
    },
    async request => {
      const { reader, writer, logger } = request.db
      await Promise.all([reader, writer, logger].map(session => session.execute('select 1')))
      return { status: 'ok' }
    },
  )
}
