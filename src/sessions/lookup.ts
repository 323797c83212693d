import { EntityManager, helper, Utils } from '@mikro-orm/core'
import type { FastifyRequest } from 'fastify'
import { creatorOf, originOf, type SqlEm } from './entity-manager.ts'
import type { Session } from './session.ts'

/**
 * The session that an entity was loaded or created by.
 *
 * @returns its EntityManager; undefined when the entity is not managed, or not by a session of this plugin. (A new
 *   entity that is only reached through a relation is known once it has been flushed.)
 *
 * @example
 * ```ts
 * const user = await request.db.reader.findOneOrFail(User, 1)
 * sessionOf(user) === request.db.reader // true
 * ```
 */
export function sessionOf(entity: object): SqlEm | undefined {
  return find(entity)?.em
}

/**
 * The request that an entity or a session belongs to, also through a nested `em.transactional`.
 *
 * @returns undefined outside requests (unless `run` was given one) and for what is not managed by a session
 *
 * @example
 * ```ts
 * class UserSubscriber {
 *   beforeUpdate({ entity, em }) {
 *     entity.updatedBy = requestOf(em)?.headers['x-user']
 *   }
 * }
 * ```
 */
export function requestOf(entityOrSession: object): FastifyRequest | undefined {
  return find(entityOrSession)?.container.request as FastifyRequest | undefined
}

function find(entityOrSession: object): Session | undefined {
  if (entityOrSession instanceof EntityManager) return originOf(entityOrSession)
  if (!Utils.isEntity(entityOrSession)) return undefined
  const em = (helper(entityOrSession) as { __em?: EntityManager }).__em
  return (em === undefined ? undefined : originOf(em)) ?? creatorOf(entityOrSession)
}
