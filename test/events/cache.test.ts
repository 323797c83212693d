import t, { type Test } from 'tap'
import { AggregateCache } from '../../plugins/events/aggregate-cache.ts'
import {
  Aggregate,
  Application,
  NAMESPACE_URL,
  OriginatorVersionConflictError,
  uuid5,
} from '../../plugins/events/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Dog, type School, type SchoolOptions, schoolOn, TrainingSchool } from './school.ts'

// The cache of aggregates: it never changes what is got, only how many events are read for it.

class Plan {
  rooms: number
  constructor(rooms: number) {
    this.rooms = rooms
  }
}

const building = {
  Built(kennel: Kennel, { rooms }: { rooms: number }) {
    kennel.plan = new Plan(rooms)
  },
}

class Kennel extends Aggregate<typeof building> {
  static override readonly appliers = building
  plan = new Plan(0)
}

/** Counts the events that are read. */
function counting(school: TrainingSchool): { readonly read: number[]; take(): number } {
  const read: number[] = []
  const { recorder } = school
  const select = recorder.selectEvents.bind(recorder)
  recorder.selectEvents = async (...parameters) => {
    const rows = await select(...parameters)
    read.push(rows.length)
    return rows
  }
  return { read, take: () => read.splice(0).reduce((sum, rows) => sum + rows, 0) }
}

t.test('a later version is kept, in the place of what was used last', t => {
  const cache = new AggregateCache({ max: 2, copyInstance: instance => instance })
  const [a, b, c] = [Dog.register('a'), Dog.register('b'), Dog.register('c')]
  const first = cache.copy(a) as Dog
  a.addTrick('sit')
  cache.put(a)
  cache.put(first)
  t.equal(cache.get(a.id)?.version, 2, 'what comes late is older')
  cache.put(b)
  const second = cache.copy(a) as Dog
  second.addTrick('roll')
  cache.put(second)
  cache.put(c)
  t.equal(cache.size, 2)
  t.equal(cache.get(b.id), undefined)
  t.equal(cache.get(a.id)?.version, 3)
  t.end()
})

await onEveryBackend(
  t,
  (t, backend) => {
    const cached = (t: Test, options: SchoolOptions = {}): Promise<School> =>
      schoolOn(t, backend, { cache: { max: 10 }, ...options })

    t.test('only what has happened since is read, also of what others have saved', async t => {
      const { school } = await cached(t)
      const other = new Application({ ...school.options, aggregates: [Dog] })
      const dog = Dog.register('fido')
      for (const trick of ['sit', 'roll', 'jump']) dog.addTrick(trick)
      await school.save(dog)
      const { take } = counting(school)
      await school.get('fido')
      t.equal(take(), 4)
      t.same(await school.tricks('fido'), ['sit', 'roll', 'jump'])
      t.equal(take(), 1, 'the last event again, to see that it is still there')
      const another = await other.repository.get(dog.id)
      another.addTrick('swim')
      await other.save(another)
      t.same(await school.tricks('fido'), ['sit', 'roll', 'jump', 'swim'])
      t.equal(take(), 2)
      t.same(await school.tricks('fido'), ['sit', 'roll', 'jump', 'swim'])
      t.equal(take(), 1)
      await school.repository.get(dog.id, { version: 2 })
      t.equal(take(), 2, 'as it was then: without the cache')
    })

    t.test('everybody has an aggregate of his own', async t => {
      const { school } = await cached(t)
      await school.register('fido')
      const first = await school.get('fido')
      first.addTrick('never saved')
      first.tricks.push('no event')
      const second = await school.get('fido')
      t.same([second.version, second.tricks, second.pendingEvents.length], [1, [], 0])
      second.tricks.push('no event')
      t.same(await school.tricks('fido'), [])
    })

    const users = backend.dialect === 'postgresql' ? 100 : 30

    t.test(`${users} users of one aggregate at once: no event is lost, and nothing is shared`, async t => {
      const { school } = await cached(t, { orm: { pool: { min: 0, max: 10 } } })
      await school.register('fido')
      let got = 0
      const seen = new Set<Dog>()
      const hasSaved = async (user: number) => {
        const dog = await school.get('fido')
        got++
        seen.add(dog)
        dog.addTrick(`trick ${user}`)
        try {
          await school.save(dog)
          return true
        } catch (error) {
          if (!isConflict(error)) throw error
          return false
        }
      }
      // All at once; then those who have lost, a few at a time: all of them would only lose more often.
      let waiting = Array.from({ length: users }, (_, user) => user)
      for (let atOnce = users; waiting.length > 0; atOnce = 3) {
        const trying = waiting.slice(0, atOnce)
        const saved = await Promise.all(trying.map(hasSaved))
        waiting = [...waiting.slice(atOnce), ...trying.filter((_user, n) => !saved[n])]
      }
      const dog = await school.get('fido')
      t.equal(seen.size, got, 'each time one that nobody else has')
      t.equal(dog.version, users + 1)
      t.equal(new Set(dog.tricks).size, users)
      t.same(
        dog.tricks,
        (await new Application({ ...school.options, aggregates: [Dog] }).repository.get(dog.id)).tricks,
      )
      t.comment(`${got - 1} attempts`)
    })

    t.test('what is rolled back is never kept: a transaction, a savepoint, a request', async t => {
      const { school, app } = await cached(t, {
        plugin: { commitMode: 'autocommit' },
        routes(app) {
          app.post('/:ending', async (request, reply) => {
            const school = request.events as TrainingSchool
            const { ending } = request.params as { ending: string }
            const undone = async () => {
              await school.addTrick('fido', 'undone')
              await school.tricks('fido')
              throw new TypeError('undone')
            }
            if (ending === 'savepoint') await school.transaction(undone).catch(() => {})
            if (ending === 'transactional') await request.db.writer.transactional(undone).catch(() => {})
            if (ending === 'fork') {
              await request.db.writer
                .transactional(async em => {
                  await school.at(em as typeof request.db.writer).addTrick('fido', 'undone')
                  await school.at(em as typeof request.db.writer).tricks('fido')
                  throw new TypeError('undone')
                })
                .catch(() => {})
            }
            if (ending === 'throw') await undone()
            if (ending === 'refuse') {
              await undone().catch(() => {})
              return reply.code(400).send({})
            }
            return { version: (await school.get('fido')).version }
          })
        },
      })
      await school.register('fido')
      await school.get('fido')
      const undone = async () => {
        await school.addTrick('fido', 'undone')
        await school.tricks('fido')
        throw new TypeError('undone')
      }
      const { take } = counting(school)
      /** Others take the version that was undone. */
      const afterwards = async (what: string) => {
        take()
        const { version } = await school.get('fido')
        t.equal(take(), 1, `${what}: what was kept before is good`)
        t.same((await school.tricks('fido')).includes('undone'), false, what)
        await school.addTrick('fido', what)
        t.equal((await school.get('fido')).version, version + 1)
        t.equal((await school.tricks('fido')).at(-1), what)
      }
      await t.rejects(school.transaction(undone))
      await afterwards('after a transaction')
      await school.transaction(async () => {
        await t.rejects(school.transaction(undone))
        await school.tricks('fido')
      })
      await afterwards('after a savepoint')
      for (const ending of ['savepoint', 'transactional', 'fork', 'throw', 'refuse']) {
        const { statusCode } = await app.inject({ method: 'POST', url: `/${ending}` })
        t.equal(statusCode, ending === 'throw' ? 500 : ending === 'refuse' ? 400 : 200)
        await afterwards(`after a request: ${ending}`)
      }
    })

    t.test('what a transaction has not committed is seen in it, and nowhere else', async t => {
      const { school } = await cached(t)
      await school.register('fido')
      await school.get('fido')
      const { promise: saved, resolve: onSaved } = Promise.withResolvers<void>()
      const { promise: over, resolve: end } = Promise.withResolvers<void>()
      const holding = school.transaction(async () => {
        await school.addTrick('fido', 'sit')
        t.same(await school.tricks('fido'), ['sit'])
        onSaved()
        await over
      })
      await saved
      if (backend.dialect !== 'sqlite') t.same(await school.tricks('fido'), [])
      end()
      await holding
      t.same(await school.tricks('fido'), ['sit'])
    })

    t.test('what a request has read is kept once it is committed', async t => {
      const { school, app } = await cached(t, {
        plugin: { commitMode: 'autocommit' },
        routes(app) {
          app.get('/', async request => (request.events as TrainingSchool).tricks('fido'))
        },
      })
      const dog = Dog.register('fido')
      for (const trick of ['sit', 'roll', 'jump']) dog.addTrick(trick)
      await school.save(dog)
      t.equal((await app.inject('/')).statusCode, 200)
      const { take } = counting(school)
      await school.get('fido')
      t.equal(take(), 1)
    })

    t.test('what is not there any more is not got from the cache either', async t => {
      const { school, app } = await cached(t)
      await school.register('fido')
      await school.addTrick('fido', 'sit')
      await school.get('fido')
      const em = app.sqlAssist.engines.get('writer').orm.em.fork()
      const table = school.recorder.tables.events.sql
      await em.execute(`delete from ${table} where originator_version = 2`)
      t.same(await school.tricks('fido'), [])
      await school.addTrick('fido', 'roll')
      await school.get('fido')
      await em.execute(`delete from ${table} where originator_version = 2`)
      const other = new TrainingSchool({ ...school.options })
      await other.addTrick('fido', 'jump')
      t.same(await school.tricks('fido'), ['jump'], 'another event of the same version')
      await em.execute(`delete from ${table}`)
      await t.rejects(school.tricks('fido'), { code: 'SQLA_ERR_AGGREGATE_NOT_FOUND' })
    })

    t.test('who was slower has all of it read again', async t => {
      const { school } = await cached(t)
      await school.register('fido')
      await school.addTrick('fido', 'sit')
      const late = await school.get('fido')
      await school.addTrick('fido', 'jump')
      late.addTrick('roll')
      await t.rejects(school.save(late), OriginatorVersionConflictError)
      const { take } = counting(school)
      t.same(await school.tricks('fido'), ['sit', 'jump'])
      t.equal(take(), 3)
    })

    t.test('at most `max` are kept: those that were used last', async t => {
      const { school } = await cached(t, { cache: { max: 2 } })
      for (const name of ['a', 'b', 'c']) {
        const dog = Dog.register(name)
        dog.addTrick('sit')
        await school.save(dog)
      }
      const { take } = counting(school)
      const read: number[] = []
      for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) {
        await school.get(name)
        read.push(take())
      }
      t.same(read, [2, 2, 1, 2, 1, 2])
      for (const max of [0, -1, 1.5, '3', undefined]) {
        t.throws(() => new Application({ ...school.options, cache: { max: max as number } }), {
          code: 'SQLA_ERR_INVALID_OPTION',
        })
      }
    })

    t.test('an aggregate that holds what cannot be copied is not kept, and that is said once', async t => {
      const { school, app } = await schoolOn(t, backend)
      const warnings: object[] = []
      const log = { info() {}, error() {}, warn: (fields: object) => warnings.push(fields) }
      const kennel = new Application<typeof Kennel>({
        on: app.sqlAssist.engines.get('writer'),
        aggregates: [Kennel],
        name: school.options.name ?? '',
        cache: { max: 5 },
        log,
      })
      const id = uuid5(NAMESPACE_URL, '/kennel')
      await kennel.save(Kennel.create('Built', { rooms: 3 }, { id }))
      const first = await kennel.repository.get(id)
      const second = await kennel.repository.get(id)
      t.not(first.plan, second.plan, 'nothing is shared')
      await kennel.repository.get(id)
      t.match(warnings, [{ aggregate: 'Kennel' }])
      t.equal(warnings.length, 1)
    })
  },
  ['PostgreSQL', 'MariaDB', 'SQLite'],
)

/** MariaDB may call it a deadlock. */
function isConflict(error: unknown): boolean {
  return error instanceof OriginatorVersionConflictError || (error as Error).name === 'DeadlockException'
}
