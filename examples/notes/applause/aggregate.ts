import { Aggregate, NAMESPACE_URL, uuid5 } from 'fastify-sqlassist/events'

/** What can happen, and what it does to the state. */
const appliers = {
  Opened: (applause: Applause, { note }: { note: number }) => {
    applause.note = note
  },
  Clapped: (applause: Applause, { visitor }: { visitor: string }) => {
    applause.visitors.add(visitor)
  },
  TakenBack: (applause: Applause, { visitor }: { visitor: string }) => {
    applause.visitors.delete(visitor)
  },
}

/** The applause for one note: once from each visitor. */
export class Applause extends Aggregate<typeof appliers> {
  static override readonly appliers = appliers
  note = 0
  visitors = new Set<string>()

  /** There is one for each note, so its id is made of the note's. */
  static idOf(note: number): string {
    return uuid5(NAMESPACE_URL, `/notes/${note}/applause`)
  }

  static open(note: number): Applause {
    return Applause.create('Opened', { note }, { id: Applause.idOf(note) })
  }

  /** @throws AlreadyApplauded */
  clap(visitor: string): void {
    if (this.visitors.has(visitor)) throw new AlreadyApplauded()
    this.trigger('Clapped', { visitor })
  }

  /** Whoever has not clapped has nothing to take back. */
  takeBack(visitor: string): void {
    if (this.visitors.has(visitor)) this.trigger('TakenBack', { visitor })
  }
}

/** The rule says no. */
export class AlreadyApplauded extends Error {
  readonly statusCode = 409
  constructor() {
    super('You have applauded this note already')
  }
}
