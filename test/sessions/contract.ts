import { LockMode, type MikroORM, type Options, TransactionPropagation } from '@mikro-orm/core'
import { defineEntity, p } from '@mikro-orm/sql'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import sqlAssist, { type Db, type EngineOptions, requestOf, type SqlEm, sessionOf } from '../../src/index.ts'

const ItemSchema = defineEntity({
  name: 'Item',
  tableName: 'contract_item',
  properties: { id: p.integer().primary(), name: p.string().unique(), amount: p.integer().default(0) },
})
export class Item extends ItemSchema.class {}
ItemSchema.setClass(Item)

interface Tables {
  contract_item: { name: string; amount: number }
}

/** What the suite needs to know about a database. */
export interface Backend {
  readonly name: string
  /** A fresh configuration for the same, empty database. */
  options(): Options
  /** A write that the first word of the statement does not give away. */
  readonly hiddenWrite: string
  /** Why a test cannot run on this database: test name → reason. */
  readonly skips: Readonly<Record<string, string>>
}

interface Scene {
  readonly app: FastifyInstance
  readonly run: <T>(fn: (db: Db) => Promise<T>) => Promise<T>
  /** The same, but nothing commits by itself. */
  readonly manual: <T>(fn: (db: Db) => Promise<T>) => Promise<T>
  /** The names that another connection sees. */
  readonly outside: () => Promise<string[]>
  readonly used: (engine: string) => number
}

/** The behaviour of a session, the same on every database. */
export function sessionContract(
  t: Test,
  backend: Backend,
  orm: (options: Options) => Promise<MikroORM>,
): void {
  async function scene(t: Test, engines: Record<string, Partial<EngineOptions>>): Promise<Scene> {
    const witness = await orm({ ...backend.options(), entities: [Item] })
    t.teardown(() => witness.close(true))
    await witness.schema.drop()
    await witness.schema.create()
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(sqlAssist, {
      engines: Object.fromEntries(
        Object.entries(engines).map(([name, rest]) => [
          name,
          { orm: { ...backend.options(), entities: [Item] }, acquireTimeout: 3000, ...rest } as EngineOptions,
        ]),
      ),
    })
    return {
      app,
      run: fn => app.sqlAssist.run(fn),
      manual: fn => app.sqlAssist.run(fn, { commitMode: 'manual' }),
      outside: async () =>
        (await witness.em.fork().find(Item, {}, { orderBy: { id: 'asc' } })).map(item => item.name),
      used: engine => app.sqlAssist.engines.get(engine).figures.used,
    }
  }

  function test(name: string, fn: (t: Test) => Promise<void>): void {
    const reason = backend.skips[name]
    t.test(`${backend.name}: ${name}`, reason === undefined ? {} : { skip: reason }, fn)
  }

  test('a session takes no connection before its first statement, and gives it back at the end', async t => {
    const { manual, used } = await scene(t, { writer: {} })
    await manual(async db => {
      db.writer.create(Item, { name: 'pending' })
      t.equal(used('writer'), 0)
      await db.writer.find(Item, {})
      t.equal(used('writer'), 1)
    })
    t.equal(used('writer'), 0)
  })

  test('everything that a session does runs in one transaction', async t => {
    const { run, outside } = await scene(t, { writer: {} })
    await run(async ({ writer }) => {
      writer.create(Item, { name: 'flushed' })
      await writer.flush()
      await writer.createQueryBuilder(Item).insert({ name: 'query builder', amount: 1 }).execute()
      await writer.execute("insert into contract_item (name, amount) values ('execute', 1)")
      await writer
        .getKysely<Tables>()
        .insertInto('contract_item')
        .values({ name: 'kysely', amount: 1 })
        .execute()
      await writer.insert(Item, { name: 'native', amount: 1 })
      await writer.nativeUpdate(Item, { name: 'native' }, { amount: 2 })
      t.same(await outside(), [], 'nothing is seen from outside')
      t.equal(await writer.count(Item), 5, 'the session sees its own')
    })
    t.same(await outside(), ['flushed', 'query builder', 'execute', 'kysely', 'native'])
  })

  test('a scope that throws leaves nothing', async t => {
    const { run, outside, used } = await scene(t, { writer: {} })
    const work = run(async ({ writer }) => {
      await writer.insert(Item, { name: 'lost', amount: 1 })
      throw new Error('no')
    })
    await t.rejects(work, { message: 'no' })
    t.same(await outside(), [])
    t.equal(used('writer'), 0)
  })

  test('it begins again after commit and after rollback', async t => {
    const { manual, outside, used } = await scene(t, { writer: {} })
    await manual(async ({ writer }) => {
      await writer.insert(Item, { name: 'first', amount: 1 })
      await writer.commit()
      t.equal(used('writer'), 0, 'a committed session holds nothing')
      t.same(await outside(), ['first'])
      await writer.insert(Item, { name: 'second', amount: 1 })
      await writer.rollback()
      t.equal(used('writer'), 0)
      await writer.insert(Item, { name: 'third', amount: 1 })
      t.same(await outside(), ['first'])
      await writer.commit()
      await writer.insert(Item, { name: 'fourth', amount: 1 })
    })
    t.same(await outside(), ['first', 'third'], 'what was not committed is rolled back')
  })

  test('a rollback discards what was pending', async t => {
    const { run, manual, outside } = await scene(t, { writer: {} })
    await run(async ({ writer }) => writer.insert(Item, { name: 'kept', amount: 1 }))
    await manual(async db => {
      const item = await db.writer.findOneOrFail(Item, { name: 'kept' })
      item.name = 'changed'
      db.writer.create(Item, { name: 'created' })
      await db.rollback()
      await db.commit()
    })
    t.same(await outside(), ['kept'])
  })

  test('em.begin begins now, em.commit flushes', async t => {
    const { manual, outside, used } = await scene(t, { writer: {} })
    await manual(async ({ writer }) => {
      await writer.begin()
      t.equal(used('writer'), 1)
      writer.create(Item, { name: 'explicit' })
      await writer.commit()
      t.same(await outside(), ['explicit'])
      await writer.find(Item, {})
      await t.rejects(writer.begin({ isolationLevel: 'serializable' as never }), {
        code: 'SQLA_ERR_TRANSACTION_STARTED',
      })
    })
  })

  test('nested em.transactional is a savepoint', async t => {
    const { run, outside } = await scene(t, { writer: {} })
    await run(async ({ writer }) => {
      await writer.transactional(async em => {
        em.create(Item, { name: 'outer' })
        await em.flush()
        const inner = em.transactional(async em => {
          em.create(Item, { name: 'inner' })
          await em.flush()
          throw new Error('only the inner one')
        })
        await t.rejects(inner, { message: 'only the inner one' })
        await em.transactional(async em => {
          em.create(Item, { name: 'second inner' })
        })
      })
      const failing = writer.transactional(async em => {
        em.create(Item, { name: 'failing' })
        await em.flush()
        throw new Error('and this one')
      })
      await t.rejects(failing, { message: 'and this one' })
      t.same(await outside(), [], 'a savepoint commits nothing')
    })
    t.same(await outside(), ['outer', 'second inner'])
  })

  test('em.transactional as the first thing that a session does', async t => {
    const { manual, outside } = await scene(t, { writer: {} })
    await manual(async ({ writer }) => {
      await writer.transactional(async em => {
        em.create(Item, { name: 'first' })
      })
      t.same(await outside(), [])
      await writer.commit()
    })
    t.same(await outside(), ['first'])
  })

  test('the propagation options mean what MikroORM says', async t => {
    const { run, outside } = await scene(t, { writer: {} })
    await run(async ({ writer }) => {
      const add = (name: string) => async (em: SqlEm) => {
        await em.insert(Item, { name, amount: 1 })
      }
      await writer.transactional(add('required'), { propagation: TransactionPropagation.REQUIRED })
      await writer.transactional(add('supports'), { propagation: TransactionPropagation.SUPPORTS })
      await writer.transactional(add('mandatory'), { propagation: TransactionPropagation.MANDATORY })
      await writer.transactional(add('nested'), { propagation: TransactionPropagation.NESTED })
      await t.rejects(writer.transactional(add('never'), { propagation: TransactionPropagation.NEVER }))
      t.same(await outside(), [])
      await writer.rollback()
    })
    t.same(await outside(), [])
  })

  test('REQUIRES_NEW and NOT_SUPPORTED leave the transaction', async t => {
    const { run, outside, used } = await scene(t, { writer: {} })
    await run(async ({ writer }) => {
      await writer.insert(Item, { name: 'rolled back', amount: 1 })
      const add = (name: string) => async (em: SqlEm) => {
        await em.insert(Item, { name, amount: 1 })
      }
      await writer.transactional(add('new'), { propagation: TransactionPropagation.REQUIRES_NEW })
      await writer.transactional(add('none'), { propagation: TransactionPropagation.NOT_SUPPORTED })
      t.same(await outside(), ['new', 'none'])
      await writer.rollback()
    })
    t.same(await outside(), ['new', 'none'])
    t.equal(used('writer'), 0)
  })

  test('statements that are sent side by side are run one after the other', async t => {
    const { run, outside } = await scene(t, { writer: {} })
    await run(async ({ writer }) => {
      const names = Array.from({ length: 20 }, (_, index) => `item ${index}`)
      await Promise.all(names.map(name => writer.insert(Item, { name, amount: 1 })))
      const counts = await Promise.all([writer.count(Item), writer.count(Item), writer.count(Item)])
      t.same(counts, [20, 20, 20])
    })
    t.equal((await outside()).length, 20)
  })

  test('a statement that fails leaves the queue in order', async t => {
    const { manual } = await scene(t, { writer: {} })
    await manual(async ({ writer }) => {
      const outcomes = await Promise.allSettled([
        writer.execute('select * from no_such_table'),
        writer.execute('select * from no_such_table_either'),
      ])
      t.same(
        outcomes.map(outcome => outcome.status),
        ['rejected', 'rejected'],
      )
      await writer.rollback()
      t.equal(await writer.count(Item), 0)
    })
  })

  test('a stream runs in the transaction', async t => {
    const { manual, used } = await scene(t, { writer: {} })
    await manual(async ({ writer }) => {
      for (let index = 0; index < 250; index++)
        await writer.insert(Item, { name: `item ${index}`, amount: index })
      const names: string[] = []
      for await (const item of writer.stream(Item, { orderBy: { id: 'asc' } })) names.push(item.name)
      t.equal(names.length, 250)
      t.equal(names[249], 'item 249')
      for await (const item of writer.stream(Item, { orderBy: { id: 'asc' } })) {
        t.equal(item.name, 'item 0')
        break
      }
      t.equal(await writer.count(Item), 250, 'a stream that was left early leaves the session usable')
    })
    t.equal(used('writer'), 0)
  })

  test('a statement inside a for await over its own stream is refused instead of waiting for ever', async t => {
    const { manual } = await scene(t, { writer: {} })
    await manual(async ({ writer }) => {
      await writer.insert(Item, { name: 'one', amount: 1 })
      for await (const _ of writer.stream(Item)) {
        await t.rejects(writer.execute('select 1'), {
          code: 'SQLA_ERR_SESSION_STREAMING',
          message: /run\(\)/,
        })
      }
      t.equal(await writer.count(Item), 1)
    })
  })

  test('a stream that nobody reads to its end does not keep its connection', async t => {
    const { run, manual, used } = await scene(t, { writer: {} })
    await run(async ({ writer }) => {
      for (let index = 0; index < 250; index++)
        await writer.insert(Item, { name: `item ${index}`, amount: index })
    })
    await manual(async ({ writer }) => {
      const stream = writer.stream(Item)
      await stream.next()
    })
    t.equal(used('writer'), 0)
  })

  test('a pessimistic lock holds until the end of the transaction', async t => {
    const { run, manual } = await scene(t, { writer: {} })
    await run(async ({ writer }) => writer.insert(Item, { name: 'locked', amount: 1 }))
    const order: string[] = []
    let second: Promise<unknown> = Promise.resolve()
    await manual(async ({ writer }) => {
      await writer.findOneOrFail(Item, { name: 'locked' }, { lockMode: LockMode.PESSIMISTIC_WRITE })
      second = manual(async other => {
        await other.writer.findOneOrFail(Item, { name: 'locked' }, { lockMode: LockMode.PESSIMISTIC_WRITE })
        order.push('second')
      })
      await writer.execute('select 1')
      await new Promise(resolve => setTimeout(resolve, 100))
      order.push('first')
    })
    await second
    t.same(order, ['first', 'second'])
  })

  test('writes through a read-only engine are refused before they reach the server', async t => {
    const { manual, outside, used } = await scene(t, { writer: {}, reader: { readOnly: true } })
    const attempts: Record<string, (em: SqlEm) => Promise<unknown>> = {
      flush: em => {
        em.create(Item, { name: 'x' })
        return em.flush()
      },
      insert: em => em.insert(Item, { name: 'x', amount: 1 }),
      nativeUpdate: em => em.nativeUpdate(Item, {}, { amount: 1 }),
      nativeDelete: em => em.nativeDelete(Item, {}),
      upsert: em => em.upsert(Item, { name: 'x', amount: 1 }),
      queryBuilder: em => em.createQueryBuilder(Item).insert({ name: 'x', amount: 1 }).execute(),
      kysely: em => em.getKysely<Tables>().deleteFrom('contract_item').execute(),
      execute: em => em.execute('delete from contract_item'),
      transactional: em =>
        em.transactional(async inner => {
          inner.create(Item, { name: 'x' })
        }),
    }
    for (const [name, attempt] of Object.entries(attempts)) {
      await manual(async ({ reader }) => {
        await t.rejects(attempt(reader), { code: 'SQLA_ERR_READ_ONLY', message: /'reader'/ }, name)
        t.equal(used('reader'), 0, `${name} took no connection`)
      })
    }
    t.same(await outside(), [])
  })

  test('what slips past us is refused by the server', async t => {
    const { manual, outside } = await scene(t, { writer: {}, reader: { readOnly: true } })
    await manual(async ({ reader }) => {
      await t.rejects(reader.execute(backend.hiddenWrite), /read.?only|query_only/i)
    })
    await manual(async ({ reader }) => {
      const hidden = reader.transactional(em => em.execute(backend.hiddenWrite))
      await t.rejects(hidden, /read.?only|query_only/i)
    })
    t.same(await outside(), [])
  })

  test('a read-only session reads without a transaction, and can be asked for one', async t => {
    const { run, manual, used } = await scene(t, { writer: {}, reader: { readOnly: true } })
    await run(async ({ writer }) => writer.insert(Item, { name: 'one', amount: 1 }))
    await manual(async ({ reader }) => {
      t.equal((await reader.find(Item, {})).length, 1)
      t.equal(used('reader'), 0)
      await reader.transactional(async em => {
        t.equal(await em.count(Item), 1)
        t.equal(used('reader'), 1)
      })
      t.equal(used('reader'), 0)
      const names: string[] = []
      for await (const item of reader.stream(Item)) names.push(item.name)
      t.same(names, ['one'])
      await t.rejects(reader.begin(), { code: 'SQLA_ERR_NO_TRANSACTION' })
    })
    t.equal(used('reader'), 0)
  })

  test('each flush of an autocommit engine commits by itself, whole or not at all', async t => {
    const { manual, outside, used } = await scene(t, { logger: { autocommit: true } })
    const scope = manual(async db => {
      db.logger.create(Item, { name: 'first' })
      await db.logger.flush()
      t.same(await outside(), ['first'])
      t.equal(used('logger'), 0)
      db.logger.create(Item, { name: 'second' })
      await db.logger.flush()
      await db.logger.transactional(async em => {
        em.create(Item, { name: 'third' })
      })
      await db.rollback()
      db.logger.create(Item, { name: 'fourth' })
      db.logger.create(Item, { name: 'first' })
      await t.rejects(db.logger.flush(), 'the unique name is taken')
      t.equal(used('logger'), 0)
      throw new Error('whatever becomes of the request')
    })
    await t.rejects(scope, { message: 'whatever becomes of the request' })
    t.same(await outside(), ['first', 'second', 'third'])
  })

  test('a snapshot engine reads one state of the database', async t => {
    const { run, manual, used } = await scene(t, { writer: {}, reader: { readOnly: true, snapshot: true } })
    await run(async ({ writer }) => writer.insert(Item, { name: 'before', amount: 1 }))
    await manual(async db => {
      t.equal(await db.reader.count(Item), 1)
      t.equal(used('reader'), 1)
      await run(async ({ writer }) => writer.insert(Item, { name: 'meanwhile', amount: 1 }))
      t.equal(await db.reader.count(Item), 1, 'the snapshot is older')
      await t.rejects(db.reader.execute(backend.hiddenWrite))
    })
    t.equal(used('reader'), 0)
    await manual(async db => t.equal(await db.reader.count(Item), 2, 'the next one is not'))
  })

  test('a transaction that somebody left open is rolled back before the connection is used', async t => {
    const { app, run, outside } = await scene(t, { writer: { orm: oneConnection(backend.options()) } })
    const lease = await app.sqlAssist.engines.get('writer').pool.acquire()
    const { CompiledQuery } = await import('kysely')
    await lease.execute(CompiledQuery.raw('begin'))
    await lease.execute(CompiledQuery.raw("insert into contract_item (name, amount) values ('foreign', 1)"))
    abandon(lease)
    await run(async ({ writer }) => writer.insert(Item, { name: 'own', amount: 1 }))
    t.same(await outside(), ['own'])
  })

  test('a session that has ended refuses every statement and names its owner', async t => {
    const { app, used } = await scene(t, { writer: {}, reader: { readOnly: true } })
    let kept: Db | undefined
    await app.sqlAssist.run(
      async db => {
        await db.writer.count(Item)
        await db.reader.count(Item)
        kept = db
      },
      { name: 'nightly job' },
    )
    const { writer, reader } = kept as Db
    const closed = { code: 'SQLA_ERR_SESSION_CLOSED', message: /nightly job/ }
    await t.rejects(writer.count(Item), closed)
    await t.rejects(reader.count(Item), closed)
    await t.rejects(writer.execute('select 1'), closed)
    await t.rejects(writer.getKysely<Tables>().selectFrom('contract_item').selectAll().execute(), closed)
    await t.rejects(
      writer.transactional(async () => {}),
      closed,
    )
    writer.create(Item, { name: 'late' })
    await t.rejects(writer.flush(), closed)
    const stream = writer.stream(Item)
    await t.rejects(stream.next(), closed)
    t.throws(() => (kept as Db & { get(name: string): SqlEm }).get('logger'), {
      code: 'SQLA_ERR_UNKNOWN_ENGINE',
    })
    t.equal(used('writer'), 0)
    t.same({ ...(kept as Db).status }, { writer: 'END', reader: 'END' })
  })

  test('an entity finds its session and its request, also inside em.transactional', async t => {
    const { app } = await scene(t, { writer: {} })
    const request = { id: 'a request' }
    await app.sqlAssist.run(
      async ({ writer }) => {
        const item = writer.create(Item, { name: 'one' })
        t.equal(sessionOf(item), writer, 'before it is flushed')
        await writer.flush()
        t.equal(sessionOf(item), writer)
        t.equal(requestOf(item), request)
        t.equal(requestOf(writer), request)
        await writer.transactional(async em => {
          const inner = em.create(Item, { name: 'two' })
          await em.flush()
          t.equal(sessionOf(inner), writer)
          t.equal(requestOf(em), request)
        })
      },
      { request },
    )
    t.equal(sessionOf(new Item()), undefined)
    t.equal(requestOf({}), undefined)
  })

  test('filters of the global EntityManager hold in a session', async t => {
    const { app, run, manual } = await scene(t, { writer: {}, reader: { readOnly: true } })
    for (const engine of app.sqlAssist.engines) {
      engine.orm.em.addFilter({ name: 'tenant', cond: { amount: 7 }, entity: [Item], default: true })
    }
    await run(async ({ writer }) => {
      await writer.insert(Item, { name: 'ours', amount: 7 })
      await writer.insert(Item, { name: 'theirs', amount: 8 })
    })
    await manual(async ({ writer, reader }) => {
      t.equal(await writer.count(Item), 1)
      t.equal((await reader.find(Item, {})).length, 1)
    })
  })
}

function oneConnection(options: Options): Options {
  return { ...options, entities: [Item], pool: { min: 1, max: 1 } }
}

/** Gives a connection back as somebody would who forgot to end his transaction and hid it from us. */
function abandon(lease: { release(): void }): void {
  lease.release()
}
