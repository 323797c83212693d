import type { FastifyReply, FastifyRequest } from 'fastify'
import type { TokenOptions, TokenTransport } from './routing-options.ts'

const SECOND = 1_000

/** The transport that the options ask for. */
export function transportOf(options: TokenOptions & { readonly maxAge: number }): TokenTransport {
  const { transport = 'cookie' } = options
  if (typeof transport === 'object') return transport
  return transport === 'cookie' ? cookieTransport(options) : headerTransport(options.name)
}

/** RFC 6265. HttpOnly: no script needs it. Lax: a link from elsewhere must not show an old page. */
function cookieTransport(options: TokenOptions & { readonly maxAge: number }): TokenTransport {
  const name = options.name ?? 'sqlassist'
  const seconds = Math.ceil(options.maxAge / SECOND)
  return {
    read: request => cookieOf(request, name),
    write: (reply, token) => {
      const secure = (options.secure ?? reply.request.protocol === 'https') ? '; Secure' : ''
      reply.header(
        'set-cookie',
        `${name}=${token}; Max-Age=${seconds}; Path=/; HttpOnly; SameSite=Lax${secure}`,
      )
    },
  }
}

function headerTransport(name = 'x-sqlassist-token'): TokenTransport {
  return {
    read: request => {
      const value = request.headers[name.toLowerCase()]
      return Array.isArray(value) ? value[0] : value
    },
    write: (reply: FastifyReply, token) => {
      reply.header(name, token)
    },
  }
}

function cookieOf(request: FastifyRequest, name: string): string | undefined {
  const header = request.headers.cookie
  if (header === undefined) return undefined
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=')
    if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
  }
  return undefined
}
