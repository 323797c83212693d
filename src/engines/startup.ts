/**
 * Whether whoever answered takes connections, but not with what ours asked to start with: PgBouncer and those that
 * speak like it (08P01), and RDS Proxy.
 */
export function isRefusedParameter(error: unknown): boolean {
  const { message } = error as { message?: unknown }
  return typeof message === 'string' && REFUSAL.test(message)
}

const REFUSAL = /unsupported startup parameter|support command-line options/i
