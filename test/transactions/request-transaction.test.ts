import t from 'tap'
import type { DataManager } from '../../src/index.ts'
import { Account, type TwoDb, twoDatabases } from './two-databases.ts'

// Several databases, and what else has joined, as one transaction.

/** A data manager that writes down what it is told. */
function recorder(
  name: string,
  told: string[],
  fails: Partial<Record<string, Error>> = {},
): Required<DataManager> {
  const tell = (what: string) => {
    told.push(`${name}: ${what}`)
    const error = fails[what]
    if (error !== undefined) throw error
  }
  return {
    name,
    vote: () => tell('vote'),
    commit: () => tell('commit'),
    rollback: () => tell('rollback'),
    savepoint() {
      tell('savepoint')
      return { rollback: () => tell('rollback to savepoint') }
    },
  }
}

/** One that cannot say beforehand. */
function onePhase(name: string, told: string[], fails: Partial<Record<string, Error>> = {}): DataManager {
  const { commit, rollback } = recorder(name, told, fails)
  return { name, commit, rollback }
}

const transfer = async (db: TwoDb, amount: number): Promise<void> => {
  const from = await db.a.findOneOrFail(Account, 1)
  const to = await db.b.findOneOrFail(Account, 1)
  from.balance -= amount
  to.balance += amount
}

t.test('what a request writes to two databases is committed together', async t => {
  const { app, balances } = await twoDatabases(t, {}, {}, app => {
    app.post('/transfer', async request => {
      await transfer(request.db as TwoDb, 30)
      return {}
    })
  })
  t.equal((await app.inject({ method: 'POST', url: '/transfer' })).statusCode, 200)
  t.same(await balances(), [70, 130])
})

t.test('a flush that fails on the second database leaves nothing on the first', async t => {
  const { run, balances } = await twoDatabases(t)
  await t.rejects(
    run(async db => {
      db.a.create(Account, { id: 2, balance: 1 })
      db.b.create(Account, { id: 2, balance: -5_000 })
    }),
    { code: '23514' },
  )
  t.same(await balances(2), [undefined, undefined])
})

t.test('a COMMIT that fails first leaves nothing, and its error is what is thrown', async t => {
  const { run, balances, logs } = await twoDatabases(t)
  await t.rejects(
    run(async db => {
      db.a.create(Account, { id: 2, balance: 666 })
      db.b.create(Account, { id: 2, balance: 1 })
    }),
    { message: /refused at commit/ },
  )
  t.same(await balances(2), [undefined, undefined])
  t.same(
    logs.filter(({ level }) => level >= 50),
    [],
  )
})

t.test('a COMMIT that fails after another says what was committed and what was not', async t => {
  const told: string[] = []
  const { run, balances, logs } = await twoDatabases(t)
  await t.rejects(
    run(async db => {
      db.a.create(Account, { id: 2, balance: 1 })
      db.b.create(Account, { id: 2, balance: 666 })
      db.transaction.join(recorder('file', told))
    }),
    {
      code: 'SQLA_ERR_PARTIAL_COMMIT',
      statusCode: 500,
      message: 'run() was committed in part. Committed: a. Not committed: b, file',
      cause: { message: /refused at commit/ },
    },
  )
  t.same(await balances(2), [1, undefined])
  t.same(told, ['file: vote', 'file: rollback'])
  t.match(
    logs.find(({ level }) => level === 50),
    { committed: ['a'], notCommitted: ['b', 'file'] },
  )
})

t.test('a response of a partial commit is an error, not the success', async t => {
  const { app } = await twoDatabases(t, {}, {}, app => {
    app.post('/', async (request, reply) => {
      const db = request.db as TwoDb
      db.a.create(Account, { id: 2, balance: 1 })
      db.b.create(Account, { id: 2, balance: 666 })
      return reply.code(201).send({ fine: true })
    })
  })
  const answer = await app.inject({ method: 'POST', url: '/' })
  t.equal(answer.statusCode, 500)
  t.equal(answer.json().code, 'SQLA_ERR_PARTIAL_COMMIT')
})

t.test(
  'data managers vote before the databases commit, and commit after them; those without a vote last',
  async t => {
    const told: string[] = []
    const { run, balances } = await twoDatabases(t)
    await run(async db => {
      db.transaction.join(onePhase('queue', told))
      const file = recorder('file', told)
      db.transaction.join({
        ...file,
        async vote() {
          t.same(await balances(2), [undefined, undefined], 'nothing is committed at the vote')
          file.vote()
        },
        async commit() {
          t.same(await balances(2), [1, 1], 'the databases have committed')
          file.commit()
        },
      })
      db.a.create(Account, { id: 2, balance: 1 })
      db.b.create(Account, { id: 2, balance: 1 })
    })
    t.same(told, ['file: vote', 'file: commit', 'queue: commit'])
  },
)

t.test('a vote against rolls back databases and data managers', async t => {
  const told: string[] = []
  const { run, balances } = await twoDatabases(t)
  const no = new Error('disk full')
  await t.rejects(
    run(async db => {
      db.transaction.join(recorder('first', told))
      db.transaction.join(recorder('second', told, { vote: no }))
      db.transaction.join(onePhase('third', told))
      db.a.create(Account, { id: 2, balance: 1 })
    }),
    no,
  )
  t.same(await balances(2), [undefined, undefined])
  t.same(told, ['first: vote', 'second: vote', 'third: rollback', 'second: rollback', 'first: rollback'])
})

t.test(
  'a one-phase data manager that fails is a partial commit; one that cannot roll back is only logged',
  async t => {
    const told: string[] = []
    const { run, balances, logs } = await twoDatabases(t)
    await t.rejects(
      run(async db => {
        const broken = new Error('broker away')
        db.transaction.join(onePhase('queue', told, { commit: broken, rollback: new Error('still away') }))
        db.a.create(Account, { id: 2, balance: 1 })
      }),
      {
        code: 'SQLA_ERR_PARTIAL_COMMIT',
        message: /Committed: a\. Not committed: queue/,
        cause: { message: 'broker away' },
      },
    )
    t.same(await balances(2), [1, undefined])
    t.same(told, ['queue: commit', 'queue: rollback'])
    t.match(logs.at(-1), { msg: 'a data manager could not be rolled back', err: { message: 'still away' } })
  },
)

t.test('data managers alone are committed by the commit rule, and rolled back without one', async t => {
  const told: string[] = []
  const { app } = await twoDatabases(t, {}, {}, app => {
    app.get<{ Params: { status: string } }>('/:status', async (request, reply) => {
      request.db.transaction.join(recorder(request.params.status, told))
      reply.code(Number(request.params.status))
      return {}
    })
    app.get('/throws', async request => {
      request.db.transaction.join(recorder('throws', told))
      throw new Error('no')
    })
  })
  for (const url of ['/200', '/404', '/throws']) await app.inject(url)
  t.same(told, ['200: vote', '200: commit', '404: rollback', 'throws: rollback'])
})

t.test('what is to run before the commit may write, and ask for more', async t => {
  const { run, balances, a } = await twoDatabases(t)
  await run(async db => {
    db.transaction.onBeforeCommit(async () => {
      db.a.create(Account, { id: 2, balance: 1 })
      db.transaction.onBeforeCommit(async () => {
        await db.b.flush()
        db.b.create(Account, { id: 2, balance: 2 })
      })
    })
  })
  t.same(await balances(2), [1, 2])
  await t.rejects(
    run(async db => {
      const again = (): void => db.transaction.onBeforeCommit(again)
      again()
      db.a.create(Account, { id: 3, balance: 1 })
    }),
    { code: 'SQLA_ERR_ENDLESS_COMMIT' },
  )
  t.same(await a.sql('select id from account where id = 3'), [])
  await t.rejects(
    run(async db => {
      db.a.create(Account, { id: 3, balance: 1 })
      db.transaction.onBeforeCommit(() => {
        throw new Error('not now')
      })
    }),
    { message: 'not now' },
  )
  t.same(await balances(3), [undefined, undefined])
})

t.test('onCommit and onRollback of the transaction are those of the request', async t => {
  const { run } = await twoDatabases(t)
  const told: string[] = []
  const note = (db: TwoDb): void => {
    db.transaction.onCommit(() => told.push('committed'))
    db.transaction.onRollback(() => told.push('rolled back'))
  }
  await run(async db => note(db))
  await run(async db => {
    note(db)
    throw new Error('no')
  }).catch(() => {})
  t.same(told, ['committed', 'rolled back'])
})

t.test('a doomed request can only roll back, and its response stays what it is', async t => {
  const { app, balances } = await twoDatabases(t, {}, {}, app => {
    app.post('/dry-run', async (request, reply) => {
      const db = request.db as TwoDb
      const inner = async (): Promise<void> => db.transaction.doom()
      await db.b.transactional(inner)
      db.a.create(Account, { id: 2, balance: 1 })
      await db.a.flush()
      for (const commit of [() => db.commit(), () => db.transaction.commit(), () => db.a.commit()]) {
        await t.rejects(commit(), { code: 'SQLA_ERR_TRANSACTION_DOOMED', message: /POST \/dry-run/ })
      }
      db.a.create(Account, { id: 2, balance: 1 })
      await db.a.flush()
      t.ok(db.transaction.isDoomed)
      return reply.code(201).send({ id: 2 })
    })
  })
  const answer = await app.inject({ method: 'POST', url: '/dry-run' })
  t.equal(answer.statusCode, 201)
  t.same(await balances(2), [undefined, undefined])
})

t.test('a savepoint undoes what all databases and data managers did since', async t => {
  const told: string[] = []
  const { run, balances } = await twoDatabases(t)
  await run(async db => {
    db.transaction.join(recorder('before', told))
    db.a.create(Account, { id: 2, balance: 1 })
    const savepoint = await db.transaction.savepoint()
    for (const balance of [7, 8]) {
      const one = await db.a.findOneOrFail(Account, 2)
      one.balance = balance
      // Nothing had begun here.
      db.b.create(Account, { id: 2, balance })
      db.transaction.join(recorder(`since ${balance}`, told))
      await db.b.flush()
      await savepoint.rollback()
    }
    t.equal((await db.a.findOneOrFail(Account, 2)).balance, 1)
    db.b.create(Account, { id: 3, balance: 3 })
  })
  t.same(await balances(2), [1, undefined])
  t.same(await balances(3), [undefined, 3])
  t.same(told, [
    'before: savepoint',
    ...[7, 8].flatMap(n => ['before: rollback to savepoint', `since ${n}: rollback`]),
    'before: vote',
    'before: commit',
  ])
})

t.test('a savepoint that was released keeps what was done; nested ones are each their own', async t => {
  const { run, balances } = await twoDatabases(t)
  await run(async db => {
    db.a.create(Account, { id: 2, balance: 1 })
    await db.a.flush()
    const outer = await db.transaction.savepoint()
    db.a.create(Account, { id: 3, balance: 1 })
    const inner = await db.transaction.savepoint()
    db.a.create(Account, { id: 4, balance: 1 })
    await inner.rollback()
    await outer.release()
  })
  t.same(
    (await Promise.all([2, 3, 4].map(balances))).map(([a]) => a),
    [1, 1, undefined],
  )
})

t.test('a data manager without savepoints says that there can be none', async t => {
  const { run } = await twoDatabases(t)
  await run(async db => {
    db.transaction.join(onePhase('queue', []))
    await t.rejects(db.transaction.savepoint(), { code: 'SQLA_ERR_NO_SAVEPOINT', message: /'queue'/ })
  })
  await run(async db => {
    t.throws(() => db.transaction.join({ name: 'x', commit() {} } as never), {
      code: 'SQLA_ERR_INVALID_OPTION',
    })
  })
})

t.test('an engine that does not join is committed by hand alone', async t => {
  const { run, balances } = await twoDatabases(t, { b: { join: false } })
  await run(async db => {
    for (const session of [db.a, db.b]) session.create(Account, { id: 2, balance: 1 })
    await db.b.flush()
  })
  t.same(await balances(2), [1, undefined])
  await t.rejects(
    run(async db => {
      for (const session of [db.a, db.b]) session.create(Account, { id: 3, balance: 1 })
      await db.b.commit()
      throw new Error('the others roll back')
    }),
  )
  t.same(await balances(3), [undefined, 1])
})

t.test('join is for engines that have a transaction', async t => {
  await t.rejects(twoDatabases(t, { b: { autocommit: true, join: false } as never }), {
    code: 'SQLA_ERR_INVALID_OPTION',
  })
})
