/**
 * Writes what has happened into an aggregate's fields. It must not refuse, ask a clock or a database, or trigger
 * another event: whenever the aggregate is loaded, it runs again.
 */
export type Applier<A, D> = (aggregate: A, data: D) => void

/** An applier of an event whose data has looked different in former times. */
export interface VersionedApplier<A, D> {
  /** Of the data as `apply` takes it. The first was 1. */
  readonly version: number
  /** Former version → what makes data of the next version of it. Version 3 needs those of 1 and 2. */
  readonly upcast: Readonly<Record<number, (data: never) => unknown>>
  /** See {@link Applier}. */
  apply(aggregate: A, data: D): void
}

/**
 * The events of an aggregate by name, and what each does to it.
 *
 * @example
 * ```ts
 * const appliers = {
 *   Registered: (dog: Dog, { name }: { name: string }) => {
 *     dog.name = name
 *   },
 *   TrickAdded: {
 *     version: 2,
 *     upcast: { 1: (old: { name: string }) => ({ trick: old.name }) },
 *     apply(dog: Dog, { trick }: { trick: string }) {
 *       dog.tricks.push(trick)
 *     },
 *   },
 * }
 * ```
 */
// biome-ignore lint/suspicious/noExplicitAny: each applier has types of its own, which DataOf finds again
export type Appliers = Readonly<Record<string, Applier<any, any> | VersionedApplier<any, any>>>

/** The data of an event, found in its applier. */
// A function has an `apply` of its own, which would be found if functions were not asked first.
export type DataOf<A> = A extends (aggregate: never, data: infer D) => void
  ? D
  : A extends { apply(aggregate: never, data: infer D): void }
    ? D
    : never
