import type { FastifyInstance } from 'fastify'
import { Recorder, type RecorderOptions } from '../../plugins/toolbar/recorder.ts'
import type { Entry } from '../../plugins/toolbar/records.ts'
import { addRecording } from '../../plugins/toolbar/request-hooks.ts'
import { addWebUi } from '../../plugins/toolbar/web-ui.ts'
import { type AppOptions, eventually, type TestApp, testApp } from '../support/app.ts'
import type { Teardown, TestDatabase } from '../support/cluster.ts'

// An application whose requests are recorded, without the pages.

export interface RecordedApp extends TestApp {
  readonly recorder: Recorder
  /** The newest entry, once it has ended and its sessions have. */
  last(): Promise<Entry>
}

export async function recordedApp(
  t: Teardown,
  db: TestDatabase,
  options: AppOptions & {
    readonly recorder?: Partial<RecorderOptions>
    /** Adds the pages. */
    readonly pages?: boolean
  } = {},
): Promise<RecordedApp> {
  let recorder: Recorder | undefined
  const test = await testApp(t, db, {
    ...options,
    plugin: { commitMode: 'autocommit', ...options.plugin },
    routes(app: FastifyInstance) {
      recorder = new Recorder({
        source: app.sqlAssist,
        limit: 100,
        statements: 500,
        parameters: false,
        log: app.log,
        ...options.recorder,
      })
      app.addHook('onClose', async () => recorder?.close())
      addRecording(app, recorder, '/_sqlassist')
      if (options.pages) {
        const records = recorder
        app.register(
          async pages =>
            addWebUi(pages, {
              base: '/_sqlassist',
              records,
              sqlAssist: app.sqlAssist,
              root: app,
              parameters: options.recorder?.parameters ?? false,
              explain: true,
              authorize: undefined,
            }),
          { prefix: '/_sqlassist' },
        )
      }
      options.routes?.(app)
    },
  })
  const known = recorder as unknown as Recorder
  return {
    ...test,
    recorder: known,
    async last() {
      const [entry] = known.entries()
      if (entry === undefined) throw new Error('nothing was recorded')
      await eventually(
        () => entry.duration !== undefined && entry.sessions.every(({ status }) => status === 'END'),
      )
      return entry
    },
  }
}
