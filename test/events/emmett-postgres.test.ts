import { setTimeout as sleep } from 'node:timers/promises'
import {
  CommandHandler,
  type Event,
  ExpectedVersionConflictError,
  STREAM_EXISTS,
} from '@event-driven-io/emmett'
import t from 'tap'
import { emmettEventStore } from '../../plugins/events/emmett.ts'
import { emmettEventOf, originatorOf } from '../../plugins/events/emmett-events.ts'
import { onEveryBackend } from '../support/backends.ts'
import { type StreamApp, streamApp } from './emmett-app.ts'

type Numbered = Event<'Numbered', { readonly n: number }>

const numbered = (n: number): Numbered => ({ type: 'Numbered', data: { n } })

/** Waits until `check` holds. */
async function until(check: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 10_000; !(await check()); ) {
    if (performance.now() > deadline) throw new Error('it never happened')
    await sleep(5)
  }
}

/** How many wait for a lock of a stream. */
async function waiting({ app }: StreamApp): Promise<number> {
  const em = app.sqlAssist.engines.get('writer' as never).orm.em.fork()
  const rows = await em
    .getConnection()
    .execute(
      "select 1 from pg_locks where locktype = 'advisory' and objsubid = 1 and not granted and database = (select oid from pg_database where datname = current_database())",
    )
  return rows.length
}

const handle = CommandHandler<number, Numbered>({
  initialState: () => 0,
  evolve: (sum, { data }) => sum + data.n,
  retry: { onVersionConflict: { retries: 3, minTimeout: 1 } },
})

await onEveryBackend(
  t,
  async (t, backend) => {
    const place = await streamApp(t, backend)
    const { app, events, inRequest } = place
    const store = emmettEventStore(events)
    const sql = (text: string) =>
      (
        app.sqlAssist.engines.get('writer' as never).orm.em.fork() as never as {
          execute(text: string): never
        }
      ).execute(text)
    await sql('create table marks (n int primary key)')

    t.test('a command is tried again in the transaction of its request, whose other work stays', async t => {
      await store.appendToStream('again', [numbered(1)])
      let attempts = 0
      await inRequest(async (events, session) => {
        await session.execute('insert into marks values (1)')
        const result = await handle(emmettEventStore(events), 'again', async sum => {
          if (attempts++ === 0) await store.appendToStream('again', [numbered(10)])
          return numbered(100 * sum)
        })
        t.equal(result.nextExpectedStreamVersion, 3n)
      })
      t.equal(attempts, 2)
      const { events: read } = await store.readStream<Numbered>('again')
      t.same(
        read.map(({ data }) => data.n),
        [1, 10, 1100],
        'decided on what is there',
      )
      t.equal(((await sql('select n from marks where n = 1')) as unknown[]).length, 1)
    })

    t.test('whoever appends to a stream waits for those who have, and to others does not', async t => {
      let end = () => {}
      const ended = new Promise<void>(resolve => {
        end = resolve
      })
      const order: string[] = []
      const first = inRequest(async (events, session) => {
        await emmettEventStore(events).appendToStream('queue', [numbered(1)])
        await ended
        order.push('first')
        await session.commit()
      })
      await until(async () => {
        const rows = (await sql(
          "select 1 from pg_locks where locktype = 'advisory' and objsubid = 1 and granted and database = (select oid from pg_database where datname = current_database())",
        )) as unknown[]
        return rows.length === 1
      })
      const second = inRequest(async events => {
        const { nextExpectedStreamVersion } = await emmettEventStore(events).appendToStream('queue', [
          numbered(2),
        ])
        order.push('second')
        return nextExpectedStreamVersion
      })
      await until(async () => (await waiting(place)) === 1)
      await inRequest(async events => {
        await emmettEventStore(events).appendToStream('another queue', [numbered(1)])
        order.push('elsewhere')
      })
      end()
      await first
      t.equal(await second, 2n)
      t.same(order, ['elsewhere', 'first', 'second'])
    })

    t.test('of twenty requests that append at once without a check all do', async t => {
      for (const expectedStreamVersion of [undefined, STREAM_EXISTS]) {
        const name = `crowd ${String(expectedStreamVersion)}`
        await store.appendToStream(name, [numbered(0)])
        await Promise.all(
          Array.from({ length: 20 }, (_, n) =>
            inRequest(async events => {
              const own = emmettEventStore(events)
              await own.appendToStream(
                name,
                [numbered(n), numbered(n)],
                expectedStreamVersion === undefined ? {} : { expectedStreamVersion },
              )
              await sleep(n % 3)
            }),
          ),
        )
        t.equal((await store.readStream(name)).currentStreamVersion, 41n, name)
      }
    })

    t.test('of twenty requests at the same version one appends, and the others can still commit', async t => {
      await store.appendToStream('race', [numbered(0)])
      const conflicts = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          inRequest(async (events, session) => {
            const own = emmettEventStore(events)
            const error = await own.appendToStream('race', [numbered(n)], { expectedStreamVersion: 1n }).then(
              () => undefined,
              (error: unknown) => error,
            )
            await session.execute('insert into marks values (?)', [100 + n])
            return error
          }),
        ),
      )
      t.equal(conflicts.filter(error => error instanceof ExpectedVersionConflictError).length, 19)
      t.equal(conflicts.filter(error => error === undefined).length, 1)
      t.equal((await store.readStream('race')).currentStreamVersion, 2n)
      t.equal(((await sql('select n from marks where n >= 100')) as unknown[]).length, 20)
    })

    t.test('an old snapshot does not see who was quicker, but the unique index does', async t => {
      await store.appendToStream('snapshot', [numbered(1)])
      for (const expectedStreamVersion of [1n, undefined]) {
        const before = (await store.readStream('snapshot')).currentStreamVersion
        const late = inRequest(async (events, session) => {
          await session.begin({ isolationLevel: 'repeatable read' } as never)
          const own = emmettEventStore(events)
          await own.readStream('snapshot')
          await store.appendToStream('snapshot', [numbered(2)])
          await own.appendToStream(
            'snapshot',
            [numbered(3)],
            expectedStreamVersion === undefined ? {} : { expectedStreamVersion },
          )
        })
        const error = await late.catch((error: unknown) => error)
        t.ok(error instanceof ExpectedVersionConflictError)
        t.match(error, {
          statusCode: 412,
          current: String(before + 1n),
          cause: { code: 'SQLA_ERR_VERSION_CONFLICT' },
        })
        t.equal((await store.readStream('snapshot')).currentStreamVersion, before + 1n)
      }
    })

    t.test('a client whose expectation fails is told 412, and nothing of its request stays', async t => {
      const web = await streamApp(t, backend, {}, (app, eventsOf) => {
        app.post<{ Params: { position: string } }>('/numbers/:position', async request => {
          const store = emmettEventStore(eventsOf(request))
          await store.appendToStream('log', [numbered(0)])
          const expectedStreamVersion = BigInt(request.params.position)
          await store.appendToStream('web', [numbered(2)], { expectedStreamVersion })
          return 'appended'
        })
      })
      const own = emmettEventStore(web.events)
      await own.appendToStream('web', [numbered(1)])
      const refused = await web.app.inject({ method: 'POST', url: '/numbers/5' })
      t.equal(refused.statusCode, 412)
      t.match(refused.json(), { message: 'Expected version 5 does not match current 1' })
      t.equal(await own.streamExists('log'), false)
      t.equal((await web.app.inject({ method: 'POST', url: '/numbers/1' })).statusCode, 200)
      t.equal((await own.readStream('web')).currentStreamVersion, 2n)
      t.equal((await own.readStream('log')).currentStreamVersion, 1n)
    })

    t.test('with strict ordering an event has no place in the log before it is committed', async t => {
      const strict = await streamApp(t, backend, { ordering: 'strict' })
      await strict.inRequest(async (events, session) => {
        const own = emmettEventStore(events)
        const appended = await own.appendToStream('strict', [numbered(1), numbered(2)])
        t.strictSame(appended, {
          nextExpectedStreamVersion: 2n,
          createdNewStream: true,
          lastEventGlobalPosition: undefined,
        })
        const positions = async () =>
          (await own.readStream('strict')).events.map(({ metadata }) => metadata.globalPosition)
        t.strictSame(await positions(), [undefined, undefined])
        await session.commit()
        t.strictSame(await positions(), [1n, 2n])
      })
    })

    t.test('a subscription is woken by what a request has appended', async t => {
      const quiet = await streamApp(t, backend, { pollInterval: 60_000 })
      const subscription = quiet.events.subscribe({ signal: AbortSignal.timeout(10_000) })
      t.teardown(() => subscription.return())
      const next = subscription.next()
      await quiet.inRequest(events => emmettEventStore(events).appendToStream('wake', [numbered(7)]))
      const { value } = await next
      t.match(emmettEventOf(value as never), {
        type: 'Numbered',
        data: { n: 7 },
        metadata: { streamName: 'wake', streamPosition: 1n, globalPosition: 1n },
      })
      t.equal((value as { originatorId: string }).originatorId, originatorOf('wake'))
    })
  },
  ['PostgreSQL', 'PostgreSQL 15'],
)
