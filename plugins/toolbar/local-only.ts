import { BlockList, isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8)
LOOPBACK.addAddress('::1', 'ipv6')

/**
 * Whether a request was made on this machine, and knew it. The address alone does not say so: a page of another site can make its
 * own host name lead here (DNS rebinding), and a proxy or tunnel on this machine passes on what comes from elsewhere.
 *
 * @returns why not; undefined when it was
 */
export function whyNotLocal(request: FastifyRequest): string | undefined {
  const { headers } = request
  if (!isLoopback(request.socket.remoteAddress)) {
    return 'without the option `authorize` only this machine may (localhost)'
  }
  const host = headers.host ?? headers[':authority']
  if (!isLocalName(typeof host === 'string' ? host : '')) {
    return 'without the option `authorize` it must be opened under localhost or 127.0.0.1'
  }
  const { 'x-forwarded-for': forwardedFor, 'x-forwarded-host': forwardedHost, forwarded } = headers
  const isPassedOn =
    forwarded !== undefined ||
    (forwardedFor !== undefined &&
      !String(forwardedFor)
        .split(',')
        .every(one => isLoopback(one.trim()))) ||
    (forwardedHost !== undefined &&
      !String(forwardedHost)
        .split(',')
        .every(one => isLocalName(one.trim())))
  return isPassedOn ? 'without the option `authorize` a proxy may not pass on requests of others' : undefined
}

function isLoopback(address: string | undefined): boolean {
  const family = isIP(address ?? '')
  return family !== 0 && LOOPBACK.check(address as string, family === 6 ? 'ipv6' : 'ipv4')
}

/** `localhost:3000`, `app.localhost`, `127.0.0.1`, `[::1]:3000` */
function isLocalName(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false
  const { hostname, username } = new URL(`http://${host}`)
  const name = hostname.replace(/^\[|\]$/g, '')
  return username === '' && (name === 'localhost' || name.endsWith('.localhost') || isLoopback(name))
}
