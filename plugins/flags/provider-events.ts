import type {
  AnyProviderEvent,
  EventContext,
  EventHandler,
  Logger,
  ProviderEventEmitter,
  ProviderEvents,
} from '@openfeature/server-sdk'

/**
 * The event emitter of a provider. The SDK has one, too; this one needs no SDK, which is an optional peer: whoever
 * imports the flags without OpenFeature must not have to install it.
 *
 * @see https://openfeature.dev/specification/sections/events
 */
export class ProviderEmitter implements ProviderEventEmitter<ProviderEvents> {
  readonly #handlers = new Map<AnyProviderEvent, EventHandler[]>()
  #logger: Logger | undefined

  emit(event: ProviderEvents, context?: EventContext): void {
    const details = context === undefined ? undefined : { providerName: '', ...context }
    for (const handler of this.getHandlers(event)) void this.#run(handler, details)
  }

  /** A handler that fails is in nobody's way, least of all in that of the flags' synchronisation. */
  async #run(handler: EventHandler, details: Parameters<EventHandler>[0]): Promise<void> {
    try {
      await handler(details)
    } catch (error) {
      this.#logger?.error('Error running event handler:', error)
    }
  }

  addHandler(event: AnyProviderEvent, handler: EventHandler): void {
    this.#handlers.set(event, [...this.getHandlers(event), handler])
  }

  removeHandler(event: AnyProviderEvent, handler: EventHandler): void {
    const handlers = this.getHandlers(event)
    const at = handlers.lastIndexOf(handler)
    if (at >= 0) this.#handlers.set(event, handlers.toSpliced(at, 1))
  }

  removeAllHandlers(event?: AnyProviderEvent): void {
    if (event === undefined) this.#handlers.clear()
    else this.#handlers.delete(event)
  }

  getHandlers(event: AnyProviderEvent): EventHandler[] {
    return [...(this.#handlers.get(event) ?? [])]
  }

  setLogger(logger: Logger): this {
    this.#logger = logger
    return this
  }
}
