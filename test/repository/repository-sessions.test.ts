import { setTimeout as sleep } from 'node:timers/promises'
import { IsolationLevel } from '@mikro-orm/core'
import Fastify from 'fastify'
import t from 'tap'
import { limitOffset, orderBy, Repository } from '../../plugins/repository/index.ts'
import { sqlAssist } from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Author, entities, library, Tag } from './library.ts'

await onEveryBackend(t, async (t, backend) => {
  const { em } = await library(t, backend)
  const isSqlite = backend.dialect === 'sqlite'
  const by = { matchFields: ['name'] as const }

  t.test('getOrUpsert of two callers at once: one creates the row, the other gets it', async t => {
    // SQLite has one transaction at a time on one connection.
    const levels = isSqlite
      ? [undefined]
      : backend.dialect === 'mysql'
        ? [undefined, IsolationLevel.READ_COMMITTED]
        : [undefined]
    for (const isolationLevel of levels) {
      for (const name of ['x', 'y', 'z'].map(each => `${each} ${isolationLevel}`)) {
        const call = () =>
          em().transactional(
            async inner => {
              // A snapshot from before either of them has begun, where there are such.
              await new Repository(Tag, inner).count()
              if (!isSqlite) await sleep(20)
              return new Repository(Tag, inner).getOrUpsert({ name }, by)
            },
            isolationLevel === undefined ? {} : { isolationLevel },
          )
        const [a, b] = await Promise.all([call(), call()])
        t.strictSame([a[1], b[1]].sort(), [false, true])
        t.equal(a[0].id, b[0].id)
      }
    }
  })

  t.test('getOrUpsert in SERIALIZABLE: one creates the row, the other is told to try again', async t => {
    if (isSqlite) return
    const call = () =>
      em().transactional(
        async inner => {
          await new Repository(Tag, inner).count()
          await sleep(20)
          return new Repository(Tag, inner).getOrUpsert({ name: 'strict' }, by)
        },
        { isolationLevel: IsolationLevel.SERIALIZABLE },
      )
    const outcomes = await Promise.allSettled([call(), call()])
    const created = outcomes.filter(outcome => outcome.status === 'fulfilled' && outcome.value[1])
    t.equal(created.length, 1)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected')
        t.match(outcome.reason.code, /^(40001|40P01|ER_LOCK_DEADLOCK|ER_CHECKREAD)$/)
    }
    t.equal(await new Repository(Tag, em()).count({ name: 'strict' }), 1)
  })

  t.test('forUpdate: others wait, fail at once, or skip', async t => {
    const { id } = await new Repository(Author, em()).add({ name: 'locked' })
    const free = await new Repository(Author, em()).add({ name: 'free' })
    const mine = em()
    await mine.begin()
    const author = await new Repository(Author, mine).forUpdate().get(id)
    if (isSqlite) {
      t.equal(author.id, id, 'there is nothing to lock: one transaction at a time writes')
      return mine.rollback()
    }
    const authors = (on: ReturnType<typeof em>) => new Repository(Author, on)
    // In PostgreSQL the transaction that was refused a lock is lost.
    const impatient = em()
    await impatient.begin()
    await t.rejects(authors(impatient).forUpdate({ locked: 'fail' }).get(id), {
      code: 'SQLA_ERR_ROW_LOCKED',
      statusCode: 409,
      message: 'Somebody else is changing this Author; try again',
    })
    await impatient.rollback()
    await em().transactional(async other => {
      const rows = await authors(other).forUpdate({ locked: 'skip' }).list(orderBy('id'), limitOffset(1))
      t.strictSame(
        rows.map(row => row.id),
        [free.id],
      )
    })
    let isThere = false
    const waiting = em().transactional(async other => {
      const row = await authors(other).forUpdate().get(id)
      isThere = true
      return row.name
    })
    await sleep(100)
    t.equal(isThere, false)
    author.name = 'changed'
    await mine.commit()
    t.equal(await waiting, 'changed')
  })

  t.test('forUpdate outside a transaction is refused', async t => {
    await t.rejects(new Repository(Author, em()).forUpdate().list(), {
      message: /open transaction is required/,
    })
  })

  t.test(
    'on an engine every call is a transaction of its own; on a session, the request decides',
    async t => {
      const app = Fastify()
      t.teardown(() => app.close())
      await app.register(sqlAssist, {
        engines: { writer: { orm: backend.options({ entities }) } },
        commitMode: 'autocommit',
      })
      app.post('/authors', async (request, reply) => {
        const authors = new Repository(Author, request.db.writer)
        const added = await authors.addMany([{ name: 'in a request' }, { name: 'in a request' }])
        await authors.update(added[0]?.id as number, { age: 7 })
        reply.code((request.query as { code: number }).code)
        return { count: await authors.count({ name: 'in a request' }) }
      })
      app.post('/tags', async request => new Repository(Tag, request.db.writer).add({ name: 'x undefined' }))
      await app.ready()
      const engine = app.sqlAssist.engines.get('writer')
      const authors = new Repository(Author, engine)
      const count = () => authors.count({ name: 'in a request' })
      const failed = await app.inject({ method: 'POST', url: '/authors?code=409' })
      t.strictSame([failed.statusCode, failed.json(), await count()], [409, { count: 2 }, 0])
      const saved = await app.inject({ method: 'POST', url: '/authors?code=201' })
      t.strictSame([saved.statusCode, saved.json(), await count()], [201, { count: 2 }, 2])
      const conflict = await app.inject({ method: 'POST', url: '/tags' })
      t.match(
        [conflict.statusCode, conflict.json()],
        [409, { code: 'SQLA_ERR_UNIQUE_VIOLATION', message: 'There is already a Tag with this name' }],
      )

      const email = `${backend.name}@x`
      const first = await authors.add({ name: 'on an engine', email })
      await t.rejects(authors.addMany([{ name: 'on an engine' }, { name: 'on an engine', email }]), {
        code: 'SQLA_ERR_UNIQUE_VIOLATION',
      })
      t.equal(await authors.count({ name: 'on an engine' }), 1, 'a call that fails leaves nothing')
      const tags = new Repository(Tag, engine)
      const names = Array.from({ length: 400 }, (_, at) => ({ name: `many ${Math.min(at, 398)}` }))
      await t.rejects(tags.addMany(names), { code: 'SQLA_ERR_UNIQUE_VIOLATION' })
      t.equal(await tags.exists({ name: 'many 0' }), false, 'nor does one whose first statement was fine')
      t.equal((await authors.update(first.id, { age: 9 })).age, 9)
      t.equal((await authors.get(first.id)).age, 9)
      t.strictSame((await authors.getOrUpsert({ id: first.id, name: 'again' }))[1], false)
      t.equal(await authors.deleteMany([first.id]), 1)
      t.equal(engine.figures.used, 0, 'every connection is back')
    },
  )
})
