import { AggregateNotFoundError, Application, type Recording } from 'fastify-sqlassist/events'
import { Applause } from './aggregate.ts'

declare module 'fastify-sqlassist/events' {
  /** From here on `request.events` has the methods below, and the compiler knows them. */
  interface SqlAssistEvents {
    application: NoteApplause
  }
}

/** What visitors do. Each method answers with the events that it has recorded, and their places in the log. */
export class NoteApplause extends Application<typeof Applause> {
  /** @throws AlreadyApplauded */
  async clap(note: number, visitor: string): Promise<Recording[]> {
    const applause = await this.#find(note)
    applause.clap(visitor)
    return this.save(applause)
  }

  async takeBack(note: number, visitor: string): Promise<Recording[]> {
    const applause = await this.repository.get(Applause.idOf(note))
    applause.takeBack(visitor)
    return this.save(applause)
  }

  /** Opened with the first clap. */
  async #find(note: number): Promise<Applause> {
    try {
      return await this.repository.get(Applause.idOf(note))
    } catch (error) {
      if (error instanceof AggregateNotFoundError) return Applause.open(note)
      throw error
    }
  }
}
