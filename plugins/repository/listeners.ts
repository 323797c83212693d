import { type EntityMetadata, type EventSubscriber, EventType, TransactionManager } from '@mikro-orm/core'
import type { SqlEm } from '../../src/index.ts'

/** What a subscriber of the unit of work hears. */
export const FLUSH_EVENTS: readonly EventType[] = [
  EventType.beforeFlush,
  EventType.onFlush,
  EventType.afterFlush,
]

/** Whether anybody wants to hear of one of these events of an entity, so that only the unit of work will do. */
export function isListenedTo(em: SqlEm, meta: EntityMetadata, events: readonly EventType[]): boolean {
  const manager = em.getEventManager()
  return events.some(event => {
    if (!manager.hasListeners(event, meta as never)) return false
    if (event !== EventType.afterFlush) return true
    return [...manager.getSubscribers()].some(each => each.afterFlush !== undefined && !isTransactions(each))
  })
}

/**
 * `em.transactional` subscribes to what is deleted, so that the outer EntityManager forgets it, too. Its listener
 * does not say whose it is, but it is always the same text.
 */
function isTransactions({ afterFlush }: EventSubscriber): boolean {
  return String(afterFlush) === transactionsListener()
}

let text: string | undefined

function transactionsListener(): string {
  if (text === undefined) {
    let heard: EventSubscriber | undefined
    const fork = {
      getEventManager: () => ({ registerSubscriber: (each: EventSubscriber) => (heard = each) }),
    }
    const { registerDeletionHandler } = TransactionManager.prototype as unknown as {
      registerDeletionHandler?: (fork: object, parent: object) => void
    }
    registerDeletionHandler?.(fork, fork)
    text = String(heard?.afterFlush)
  }
  return text
}
