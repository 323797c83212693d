import { EventEmitter, once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { observe } from 'fastify-sqlassist'
import type { ProjectionRunner, Recording } from 'fastify-sqlassist/events'
import { type ApplauseList, readApplause } from '../applause/list.ts'
import { type Cluster, Controlled } from './cluster.ts'
import { Feed } from './feed.ts'
import { type ServerView, viewServers } from './servers.ts'

/** Milliseconds. A standby that is behind gets later and later, and nobody says so. */
const LOOK_EVERY = 1_000
/** Milliseconds that a page waits for the projection before it shows how far that has come. */
const PATIENCE = 1_000

/** The projection, and how far it has come. */
export interface Projected extends ApplauseList {
  /** The id of the last event that it has counted, and of the last one that there is. */
  readonly position: number
  readonly end: number
}

/** Everything that the start page shows of the service; it is the same for all visitors. */
export class ControlRoom {
  readonly feed: Feed
  readonly controlled: readonly Controlled[]
  /** Requests that were answered, and those that had to be told that something went wrong here. */
  answered = 0
  failed = 0
  /** Grows when the notes or the flag may have changed. */
  version = 0
  readonly #app: FastifyInstance
  readonly #runner: ProjectionRunner
  readonly #news = new EventEmitter()
  #projected: Projected | undefined
  #watchers = 0
  #looking: NodeJS.Timeout | undefined

  constructor(app: FastifyInstance, runner: ProjectionRunner, cluster: Cluster | undefined) {
    this.#app = app
    this.#runner = runner
    this.#news.setMaxListeners(0)
    const { replicas } = app.sqlAssist.engines.get('reader')
    this.controlled = (cluster?.replicas ?? []).flatMap((standby, index) => {
      const name = replicas[index]?.name
      return name === undefined ? [] : [new Controlled(name, standby)]
    })
    this.feed = new Feed(app, () => this.tell())
    const stops = [
      observe('sqlassist:replica', ({ source }) => {
        if (source === app.sqlAssist) this.tell()
      }),
      observe('sqlassist:session:commit', ({ source, engine }) => {
        if (source === app.sqlAssist && engine === 'writer') this.#contentChanged()
      }),
      app.flags.onChange(() => this.#contentChanged()),
    ]
    // When the tables are there, and the projection runs.
    app.addHook('onReady', async () => void this.#follow())
    app.addHook('onResponse', async (_request, reply) => {
      this.answered++
      if (reply.statusCode >= 500) this.failed++
    })
    app.addHook('onClose', async () => {
      for (const stop of stops) stop()
      clearInterval(this.#looking)
    })
  }

  get hasButtons(): boolean {
    return this.controlled.length > 0
  }

  servers(): ServerView[] {
    return viewServers(this.#app, this.controlled)
  }

  /** Something may look different from now on. */
  tell(): void {
    this.#news.emit('change')
  }

  /** Resolves when {@link tell} is called; rejects with the signal. */
  async change(signal: AbortSignal): Promise<void> {
    await once(this.#news, 'change', { signal })
  }

  /** The notes with their applause by now. From the primary: a standby may have the events already, and the view not yet. */
  async project(): Promise<Projected> {
    const app = this.#app
    const end = await app.events.settled()
    const position = await this.#runner.wait(end, { timeout: PATIENCE }).then(
      () => end,
      () => this.#projected?.position ?? 0,
    )
    const list = await app.sqlAssist.run(({ reader }) => readApplause(reader, app.events), {
      name: 'control room',
      consistency: 'primary',
    })
    this.#projected = { ...list, position, end }
    return this.#projected
  }

  /** Resolves when the view has what was recorded, or will not have it soon. */
  async catchUp(recorded: readonly Recording[]): Promise<void> {
    await this.#runner
      .wait(recorded, { timeout: PATIENCE })
      .catch(err => this.#app.log.warn({ err }, 'saved; the view will follow'))
  }

  get projected(): Projected | undefined {
    return this.#projected
  }

  /** Shows what changes by itself, while somebody looks. @returns ends it */
  watch(): () => void {
    this.#watchers++
    this.#looking ??= setInterval(() => this.tell(), LOOK_EVERY)
    return () => {
      this.#watchers--
      if (this.#watchers > 0) return
      clearInterval(this.#looking)
      this.#looking = undefined
    }
  }

  /** Until the application closes, and the log with it. */
  async #follow(): Promise<void> {
    const app = this.#app
    try {
      for await (const { id } of app.events.subscribe({ after: await app.events.settled() })) {
        // Many events at once are shown together.
        if (id <= (this.#projected?.position ?? 0)) continue
        if (this.#projected !== undefined) this.#projected = { ...this.#projected, end: id }
        this.tell()
        await this.project()
        this.tell()
      }
    } catch (err) {
      app.log.warn({ err }, 'the start page does not follow the applause any more')
    }
  }

  #contentChanged(): void {
    this.version++
    this.tell()
  }
}
