import { createRequire } from 'node:module'

/**
 * What @mikro-orm/postgresql depends on, found from there: its copy is the one whose connections we speak to, and it
 * stays MikroORM's dependency and not ours.
 */
export function loadPgModule(name: 'pg' | 'pg-cursor'): unknown {
  return createRequire(import.meta.resolve('@mikro-orm/postgresql'))(name)
}
