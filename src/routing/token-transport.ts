import type { FastifyReply, FastifyRequest } from 'fastify'
import type { TokenOptions, TokenTransport } from './routing-options.ts'

const SECOND = 1_000

/** The transport that the options ask for. */
export function transportOf(options: TokenOptions & { readonly maxAge: number }): TokenTransport {
  const { transport = 'cookie' } = options
  if (typeof transport === 'object') return transport
  return transport === 'cookie' ? cookieTransport(options) : headerTransport(options.name)
}

/**
 * RFC 6265. HttpOnly: no script needs it. Lax: a link from elsewhere must not show an old page. Reads have a cookie of
 * their own, see {@link TokenKind}.
 */
function cookieTransport(options: TokenOptions & { readonly maxAge: number }): TokenTransport {
  const name = options.name ?? 'sqlassist'
  const seconds = Math.ceil(options.maxAge / SECOND)
  return {
    read: request => cookiesOf(request, name),
    write: (reply, token, kind) => {
      const secure = (options.secure ?? reply.request.protocol === 'https') ? '; Secure' : ''
      reply.header(
        'set-cookie',
        `${kind === 'read' ? nameOfReads(name) : name}=${token}; Max-Age=${seconds}; Path=/; HttpOnly; SameSite=Lax${secure}`,
      )
    },
  }
}

function headerTransport(name = 'x-sqlassist-token'): TokenTransport {
  return {
    read: request => {
      const value = request.headers[name.toLowerCase()]
      return value === undefined ? undefined : [value].flat().flatMap(line => line.split(/\s*,\s*/))
    },
    write: (reply: FastifyReply, token) => {
      reply.header(name, token)
    },
  }
}

function cookiesOf(request: FastifyRequest, name: string): string[] | undefined {
  const header = request.headers.cookie
  if (header?.includes(name) !== true) return undefined
  const found: string[] = []
  for (let start = 0; start < header.length; ) {
    const semicolon = header.indexOf(';', start)
    const end = semicolon === -1 ? header.length : semicolon
    const equals = header.indexOf('=', start)
    if (equals !== -1 && equals < end) {
      const key = header.slice(start, equals).trim()
      if (key === name || key === nameOfReads(name)) found.push(header.slice(equals + 1, end).trim())
    }
    start = end + 1
  }
  return found.length === 0 ? undefined : found
}

function nameOfReads(name: string): string {
  return `${name}-read`
}
