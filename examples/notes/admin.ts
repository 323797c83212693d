import { randomBytes } from 'node:crypto'
import fastifySession from '@fastify/session'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { flagsWebUi } from 'fastify-sqlassist/flags'
import { problem } from './errors.ts'
import { login, SESSION_COOKIE } from './login.ts'

const HOUR = 60 * 60 * 1000

/** Pages for whoever runs the service, behind a login. Sessions are kept in memory: a restart ends them. */
export async function admin(app: FastifyInstance, { password }: { password: string }): Promise<void> {
  await app.register(fastifySession, {
    // Signs the ids of sessions that end with this process, so it need not outlive it.
    secret: randomBytes(32).toString('hex'),
    cookieName: SESSION_COOKIE,
    cookie: { path: app.prefix, httpOnly: true, sameSite: 'lax', secure: 'auto', maxAge: 8 * HOUR },
    // No cookie, and no memory, for those who have not logged in.
    saveUninitialized: false,
  })
  await app.register(login, { password })
  await app.register(flagsWebUi, {
    prefix: '/flags',
    authorize: onlyLoggedIn,
    author: request => request.session.user,
  })
}

/** A browser is shown where to log in; a program is told. */
function onlyLoggedIn(request: FastifyRequest, reply: FastifyReply): FastifyReply | undefined {
  if (request.session.user !== undefined) return undefined
  if (request.headers.accept?.includes('text/html')) return reply.redirect('/admin/login', 303)
  throw problem(401, 'Log in first, at /admin/login')
}
