import fastifyRateLimit from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'
import { acceptForms } from './forms.ts'
import { asPage } from './layout.ts'
import { loggedInPage, loginPage } from './login-view.ts'
import { isSamePassword } from './password.ts'

declare module 'fastify' {
  interface Session {
    /** The name that somebody has logged in with. */
    user?: string
  }
}

interface LoginForm {
  name: string
  password: string
}

export const SESSION_COOKIE = 'admin'
const GUESSES = { max: 5, timeWindow: '1 minute' }

/**
 * One password for everybody who may. The name beside it is taken on trust: it is what the history of a flag says.
 *
 * @param options `password`: the right one
 */
export async function login(app: FastifyInstance, { password }: { password: string }): Promise<void> {
  acceptForms(app)
  await app.register(fastifyRateLimit, { global: false })
  const countGuess = app.createRateLimit(GUESSES)

  app.get('/login', { schema: { hide: true } }, async (request, reply) => {
    asPage(reply)
    const { user } = request.session
    return user === undefined ? loginPage({}) : loggedInPage(user)
  })

  app.post<{ Body: LoginForm }>(
    '/login',
    {
      attachValidation: true,
      schema: {
        hide: true,
        body: {
          type: 'object',
          required: ['name', 'password'],
          properties: {
            name: { type: 'string', maxLength: 40, pattern: '\\S' },
            password: { type: 'string', minLength: 1, maxLength: 200 },
          },
        },
      },
    },
    async (request, reply) => {
      asPage(reply)
      const name = request.body?.name
      const guess = await countGuess(request)
      if (!guess.isAllowed && guess.isExceeded) {
        reply.code(429).header('retry-after', guess.ttlInSeconds)
        const problem = `Too many attempts. Try again in ${guess.ttlInSeconds} seconds.`
        return loginPage({ problem, name })
      }
      if (request.validationError) {
        reply.code(400)
        return loginPage({ problem: 'Give a name of up to 40 characters, and the password.', name })
      }
      if (!isSamePassword(request.body.password, password)) {
        reply.code(403)
        return loginPage({ problem: 'That is not the password.', name })
      }
      // A new id: one that somebody planted in this browser before is worth nothing.
      await request.session.regenerate()
      request.session.user = request.body.name.trim()
      return reply.redirect('/admin/flags/', 303)
    },
  )

  app.post('/logout', { schema: { hide: true } }, async (request, reply) => {
    await request.session.destroy()
    reply.clearCookie(SESSION_COOKIE, { path: '/admin' })
    return reply.redirect('/', 303)
  })
}
