import type { CommitMode } from '../options.ts'

/**
 * Whether a response of this status commits. Redirects are a success only where the mode says so: a POST that
 * answers 303 has done its work, a 302 to the login page has not.
 */
export function commits(mode: CommitMode, statusCode: number): boolean {
  if (mode === 'manual' || statusCode < 200) return false
  return statusCode < (mode === 'autocommit' ? 300 : 400)
}
