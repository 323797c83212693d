import { setTimeout as sleep } from 'node:timers/promises'
import { defineConfig as sqliteConfig } from '@mikro-orm/sqlite'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { errors, OriginatorVersionConflictError } from '../../plugins/events/index.ts'
import sqlAssist, { errors as coreErrors } from '../../src/index.ts'
import { onEveryBackend, type TestBackend } from '../support/backends.ts'
import { Dog, Invoice, schoolOn, TrainingSchool } from './school.ts'

// application.transaction: what is committed together, what is undone alone, and who has nothing to do with whom.

/** No two tests use the same dogs, as invoices are in one table. */
let litters = 0
const litter = <N extends string>(...names: N[]): string[] => {
  litters++
  return names.map(name => `${name}-${litters}`)
}

await onEveryBackend(t, (t, backend) => {
  t.test('entities and events are committed together, and seen inside before', async t => {
    const { school, invoiced, registered } = await schoolOn(t, backend)
    const [buster = ''] = litter('buster')
    const result = await school.transaction(async session => {
      session.persist(session.create(Invoice, { dog: buster }))
      await school.register(buster)
      await school.addTrick(buster, 'fetch ball')
      t.same(await school.tricks(buster), ['fetch ball'])
      return 'done'
    })
    t.equal(result, 'done')
    t.same(await invoiced(), [buster])
    t.same(await registered(), [buster])
    t.same(await school.tricks(buster), ['fetch ball'])
  })

  t.test('what throws leaves neither', async t => {
    const { school, invoiced, registered } = await schoolOn(t, backend)
    const [buster = ''] = litter('buster')
    await t.rejects(
      school.transaction(async session => {
        session.persist(session.create(Invoice, { dog: buster }))
        await school.register(buster)
        await session.flush()
        throw new TypeError('after all not')
      }),
      { message: 'after all not' },
    )
    t.same(await invoiced(), [])
    t.same(await registered(), [])
    await t.rejects(school.tricks(buster), { code: 'SQLA_ERR_AGGREGATE_NOT_FOUND' })
  })

  t.test('an entity that cannot be flushed at the end takes the events along', async t => {
    const { school, invoiced, registered } = await schoolOn(t, backend)
    const [buster = ''] = litter('buster')
    await t.rejects(
      school.transaction(async session => {
        await school.register(buster)
        session.persist(session.create(Invoice, { dog: buster }))
        session.persist(session.create(Invoice, { dog: buster }))
      }),
      { name: 'UniqueConstraintViolationException' },
    )
    t.same(await invoiced(), [])
    t.same(await registered(), [])
  })

  t.test('a transaction inside another is a savepoint: when it throws, it is undone alone', async t => {
    const { school, invoiced, registered } = await schoolOn(t, backend)
    const [a = '', b = '', c = '', d = ''] = litter('a', 'b', 'c', 'd')
    await school.transaction(async session => {
      session.persist(session.create(Invoice, { dog: a }))
      await school.register(a)
      await t.rejects(
        school.transaction(async inner => {
          inner.persist(inner.create(Invoice, { dog: b }))
          await school.register(b)
          await school.transaction(() => school.register(c))
          await inner.flush()
          throw new TypeError('not b')
        }),
        { message: 'not b' },
      )
      await school.transaction(async inner => {
        inner.persist(inner.create(Invoice, { dog: d }))
        await school.register(d)
      })
      t.same(
        (await session.find(Invoice, { dog: [b, d] })).map(({ dog }) => dog),
        [d],
      )
    })
    t.same((await invoiced()).sort(), [a, d])
    t.same((await registered()).sort(), [a, d])
  })

  t.test(
    'savepoints at once take turns, and what is recorded beside them is not undone with them',
    async t => {
      const { school, registered } = await schoolOn(t, backend)
      const names = litter('a', 'b', 'c', 'd', 'e')
      const [beside = '', ...others] = names
      await school.transaction(async () => {
        const outcomes = await Promise.allSettled([
          ...others.map((name, n) =>
            school.transaction(async () => {
              await school.register(name)
              await sleep(5)
              if (n % 2 === 0) throw new TypeError(name)
            }),
          ),
          school.register(beside),
        ])
        t.same(
          outcomes.map(({ status }) => status),
          ['rejected', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
        )
      })
      t.same((await registered()).sort(), [beside, others[1], others[3]].sort())
    },
  )

  t.test('what is recorded beside an open savepoint is not undone with it', async t => {
    const { school, registered } = await schoolOn(t, backend)
    const [a = '', b = ''] = litter('a', 'b')
    await school.transaction(async () => {
      const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
      const savepoint = school.transaction(async () => {
        await school.register(a)
        begin()
        await sleep(20)
        throw new TypeError('not a')
      })
      await begun
      const [inner, outer] = await Promise.allSettled([savepoint, school.register(b)])
      t.same([inner.status, outer.status], ['rejected', 'fulfilled'])
    })
    t.same(await registered(), [b])
  })

  t.test('the session of a transaction can be given on, by hand or to other helpers', async t => {
    const { school, registered } = await schoolOn(t, backend)
    const [a = '', b = '', c = ''] = litter('a', 'b', 'c')
    await school.transaction(async session => {
      await school.at(session).register(a)
      await school.transaction(async () => {
        // Inside the savepoint, though it was made for what is around it.
        await school.at(session).transaction(() => school.at(session).register(b))
      })
      await t.rejects(
        school.at(session).transaction(async () => {
          await school.register(c)
          throw new TypeError('not c')
        }),
      )
      const other = new TrainingSchool({ ...school.options, on: session })
      t.equal((await other.get(a)).version, 1)
    })
    t.same((await registered()).sort(), [a, b].sort())
  })

  t.test('what goes on after its end is no part of it any more', async t => {
    const { school, registered } = await schoolOn(t, backend)
    const [a = '', b = ''] = litter('a', 'b')
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    let late: Promise<unknown> = Promise.resolve()
    const session = await school.transaction(async session => {
      await school.register(a)
      late = ended.then(() => school.register(b))
      return session
    })
    end()
    await late
    await t.rejects(session.execute('select 1'), 'its connection is somebody else’s now')
    t.same((await registered()).sort(), [a, b].sort())
  })

  t.test('save: nothing gives nothing; several aggregates are saved together, or not at all', async t => {
    const { school, registered } = await schoolOn(t, backend)
    const [a = '', b = '', c = ''] = litter('a', 'b', 'c')
    t.same(await school.save(), [])
    const dogs = [a, b].map(name => Dog.register(name))
    dogs[0]?.addTrick('sit')
    const recordings = await school.save(...dogs, ...dogs)
    t.same(
      recordings.map(({ event }) => [event.originatorId, event.originatorVersion]),
      [
        [Dog.idOf(a), 1],
        [Dog.idOf(a), 2],
        [Dog.idOf(b), 1],
      ],
    )
    t.same(
      dogs.map(({ pendingEvents }) => pendingEvents.length),
      [0, 0],
    )
    t.same(await school.save(...dogs), [], 'saved already')

    const late = [Dog.register(c), Dog.register(a)]
    await t.rejects(school.save(...late), OriginatorVersionConflictError)
    t.same(
      late.map(({ pendingEvents }) => pendingEvents.length),
      [1, 1],
      'still to be saved',
    )
    t.same((await registered()).sort(), [a, b].sort())
    t.equal((await school.save(late[0] as Dog)).length, 1)
    const twice = Dog.register(litter('twice')[0] as string)
    const both = await Promise.allSettled([school.save(twice), school.save(twice)])
    t.same(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  })

  t.test('events that are triggered while others are saved stay to be saved', async t => {
    const { school } = await schoolOn(t, backend)
    const [a = ''] = litter('a')
    const dog = Dog.register(a)
    const saving = school.save(dog)
    dog.addTrick('sit')
    t.equal((await saving).length, 1)
    t.equal(dog.pendingEvents.length, 1)
    await school.save(dog)
    t.same(await school.tricks(a), ['sit'])
  })

  t.test('who loses has nothing of what he wrote: two writers of the same version', async t => {
    const { school, invoiced } = await schoolOn(t, backend)
    const rounds = backend.name === 'PostgreSQL' ? 100 : 10
    const [name = ''] = litter('contested')
    await school.register(name)
    const winners: string[] = []
    for (let round = 0; round < rounds; round++) {
      const write = (who: string) =>
        school.transaction(async session => {
          const dog = await school.get(name)
          session.persist(session.create(Invoice, { dog: `${who}-${name}-${round}` }))
          await session.flush()
          dog.addTrick(`${who}-${round}`)
          await school.save(dog)
        })
      const outcomes = await Promise.allSettled([write('one'), write('two')])
      const lost = outcomes.filter(outcome => outcome.status === 'rejected')
      // Where transactions take turns both win.
      if (backend.dialect === 'postgresql' && lost.length > 1) t.fail('nobody has won')
      for (const { reason } of lost) t.ok(isConflict(reason), String(reason))
      for (const [place, { status }] of outcomes.entries()) {
        if (status === 'fulfilled') winners.push(`${place === 0 ? 'one' : 'two'}-${round}`)
      }
    }
    const dog = await school.get(name)
    t.same(dog.tricks.toSorted(), winners.toSorted())
    t.equal(dog.version, winners.length + 1)
    const paid = (await invoiced()).map(dog => dog.replace(`-${name}`, ''))
    t.same(paid.toSorted(), winners.toSorted(), 'an invoice of each winner, and of nobody else')
    t.comment(`${winners.length} writes of ${rounds} rounds`)
  })
})

/** MariaDB may call it a deadlock. */
function isConflict(error: unknown): boolean {
  return error instanceof OriginatorVersionConflictError || (error as Error).name === 'DeadlockException'
}

await onEveryBackend(
  t,
  (t, backend) => {
    async function twoEngines(t: Test) {
      const first = await schoolOn(t, backend)
      // Another application, whose engine has the same name: MikroORM takes both for the same context.
      const app = Fastify()
      t.teardown(() => app.close())
      await app.register(sqlAssist, {
        engines: { writer: { orm: sqliteConfig({ dbName: ':memory:', entities: [Invoice] }) } },
      })
      const engine = app.sqlAssist.engines.get('writer')
      const other = new TrainingSchool({ on: engine, aggregates: [Dog], name: 'other' })
      await other.createTables()
      return { ...first, other }
    }

    t.test(
      'an application on another engine is not part of a transaction, though the engine is called the same',
      async t => {
        const { school, other, registered } = await twoEngines(t)
        const [a = '', b = '', c = ''] = litter('a', 'b', 'c')
        await t.rejects(
          school.transaction(async () => {
            await school.register(a)
            await other.register(b)
            await other.transaction(async () => {
              await other.register(c)
              await school.addTrick(a, 'sit')
            })
            t.same(await school.tricks(a), ['sit'])
            throw new TypeError('not a')
          }),
          { message: 'not a' },
        )
        t.same(await registered(), [])
        t.equal((await other.get(b)).version, 1, 'committed by itself')
        t.equal((await other.get(c)).version, 1, 'in a transaction of its own')
      },
    )

    t.test('two applications on one engine share it', async t => {
      const { school, registered, app } = await schoolOn(t, backend)
      const second = new TrainingSchool({
        on: app.sqlAssist.engines.get('writer'),
        aggregates: [Dog],
        name: 'second',
      })
      await second.createTables()
      const [a = '', b = ''] = litter('a', 'b')
      await t.rejects(
        school.transaction(async () => {
          await second.register(a)
          await second.transaction(() => school.register(b))
          throw new TypeError('neither')
        }),
      )
      t.same(await registered(), [])
      await t.rejects(second.get(a), { code: 'SQLA_ERR_AGGREGATE_NOT_FOUND' })
    })

    t.test('transactions of different contexts do not see each other', async t => {
      const { school, registered } = await schoolOn(t, backend)
      const names = litter('a', 'b', 'c', 'd')
      const seen = await Promise.all(
        names.map((name, n) =>
          school
            .transaction(async () => {
              await school.register(name)
              await sleep(20)
              const there = await Promise.all(
                names.map(other =>
                  school.get(other).then(
                    () => other,
                    () => '',
                  ),
                ),
              )
              if (n === 0) throw new TypeError('not the first')
              return there.filter(other => other !== '' && other !== name)
            })
            .catch(error => error.message),
        ),
      )
      t.equal(seen[0], 'not the first')
      t.notOk(seen.flat().includes(names[0]), 'nobody sees what is never committed')
      t.same((await registered()).sort(), names.slice(1))
    })

    t.test('an error that was swallowed does not make a transaction look committed', async t => {
      const { school, registered } = await schoolOn(t, backend)
      const [a = '', b = ''] = litter('a', 'b')
      await school.register(a)
      await t.rejects(
        school.transaction(async () => {
          await school.register(b)
          await school.register(a).catch(() => {})
        }),
        coreErrors.SQLA_ERR_COMMIT_ROLLED_BACK,
      )
      t.same(await registered(), [a])
      await school.transaction(async () => {
        await school.register(b)
        await school.transaction(() => school.register(a)).catch(() => {})
      })
      t.same(await registered(), [a, b], 'a savepoint saves the rest')
    })

    t.test('a connection that is lost in the middle does not keep its place in the pool', async t => {
      const { school, app, registered } = await schoolOn(t, backend, { orm: { pool: { min: 0, max: 2 } } })
      const [a = '', b = ''] = litter('a', 'b')
      for (let round = 0; round < 5; round++) {
        await t.rejects(
          school.transaction(async session => {
            await school.register(a)
            await session.execute('select pg_terminate_backend(pg_backend_pid())')
          }),
        )
      }
      await school.transaction(() => school.register(b))
      t.same(await registered(), [b])
      t.equal(app.sqlAssist.engines.get('writer').figures.used, 0)
    })

    t.test('whoever waits for a connection for too long is told', async t => {
      const { school, registered } = await schoolOn(t, backend, {
        orm: { pool: { min: 0, max: 2 } },
        writer: { acquireTimeout: 100 },
      })
      const [a = '', b = '', c = ''] = litter('a', 'b', 'c')
      const { promise: over, resolve: end } = Promise.withResolvers<void>()
      const begun = [a, b].map(name => {
        const { promise, resolve } = Promise.withResolvers<void>()
        const holding = school.transaction(async () => {
          await school.register(name)
          resolve()
          await over
        })
        return { promise, holding }
      })
      await Promise.all(begun.map(({ promise }) => promise))
      await t.rejects(
        school.transaction(() => school.register(c)),
        { code: 'SQLA_ERR_POOL_TIMEOUT' },
      )
      end()
      await Promise.all(begun.map(({ holding }) => holding))
      t.same((await registered()).sort(), [a, b])
    })

    t.test('strict: no places until the commit', async t => {
      const { school } = await schoolOn(t, backend, { ordering: 'strict' })
      const [a = '', b = ''] = litter('a', 'b')
      const [{ id } = {}] = await school.save(Dog.register(a))
      t.equal(id, undefined)
      await school.transaction(async () => {
        await school
          .transaction(async () => {
            await school.register(b)
            throw new TypeError('no gap')
          })
          .catch(() => {})
        await school.register(b)
      })
      t.same(
        (await school.recorder.selectNotifications({ limit: 10 })).map(one => one.id),
        [1, 2],
      )
      await t.rejects(
        school.at((await isolated(t, backend)) as never).register(litter('c')[0] as string),
        errors.SQLA_ERR_EVENTS_STORAGE,
      )
    })
  },
  ['PostgreSQL', 'PostgreSQL 15'],
)

async function isolated(t: Test, backend: TestBackend) {
  const orm = await backend.orm(t, { entities: [Invoice] })
  const em = orm.em.fork()
  await em.begin({ isolationLevel: 'serializable' as never })
  t.teardown(() => em.rollback())
  return em
}
