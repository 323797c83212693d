import pg from 'pg'
import t from 'tap'
import type { Db } from '../../src/index.ts'
import { Audit, eventually, NOTHING, Note, ormConfig } from '../support/app.ts'
import {
  addNoteRoutes,
  allCurrent,
  Browser,
  databaseOf,
  PATIENT_PROBE,
  portOf,
  replicasOf,
  replicatedCluster,
  routedApp,
  SECRET,
  serverNames,
} from '../support/routed-app.ts'

t.test('scopes, routes and engines that read otherwise', async t => {
  const cluster = await replicatedCluster(t, 2)
  const [first, second] = cluster.replicas
  const names = serverNames(cluster)
  const [replica1, replica2] = replicasOf(cluster)
  const one = (replica = {}) => ({
    orm: ormConfig(cluster.url('app_reader', cluster.primary), { pool: { min: 0, max: 4 } }),
    readOnly: true as const,
    replicas: [replica],
  })
  const test = await routedApp(t, cluster, {
    max: 8,
    server: { logger: false },
    routing: { probe: PATIENT_PROBE, wait: 50 },
    // Two more engines with replicas: one replica each.
    engines: { left: one(replica1), right: one(replica2) },
    routes: app => {
      addNoteRoutes(app)
      addNoteRoutes(app, 'eventual', '/eventual')
      addNoteRoutes(app, 'primary', '/primary')
      addNoteRoutes(app, 'session', '/session')
      app.post<{ Params: { tag: string } }>('/jobs/:tag', async (request, reply) => {
        request.db.writer.create(Note, { tag: request.params.tag, body: 'a' })
        const before = request.db.token
        await request.db.commit()
        await databaseOf(cluster, t).sql('select pg_notify($1, $2)', [
          'jobs',
          JSON.stringify({ tag: request.params.tag, token: request.db.token }),
        ])
        reply.code(202)
        return { before: typeof before, after: typeof request.db.token }
      })
    },
  })
  const { app } = test
  const pauseAll = async (): Promise<void> => {
    for (const replica of cluster.replicas) await replica.pauseReplay()
  }
  const write = (tag: string): Promise<string | undefined> =>
    app.sqlAssist.run(async db => {
      db.writer.create(Note, { tag, body: 'a' })
      await db.commit()
      return db.token
    })
  const read = async (db: Db, tag: string, engine = 'reader') => {
    const em = db.get(engine)
    const found = (await em.findOne(Note, { tag })) !== null
    return [found, names[await portOf(em)]]
  }

  await t.test('run(fn, { token }) continues from a token', async t => {
    await allCurrent(test, cluster)
    await pauseAll()
    const token = await write('run')
    t.type(token, 'string')
    const { run } = app.sqlAssist
    t.same(await run(db => read(db, 'run'), { token }), [true, 'primary'])
    t.equal((await run(db => read(db, 'run')))[0], false, 'without it: what a replica has')
    t.equal((await run(db => read(db, 'run'), { token: undefined }))[0], false)
    t.equal(
      (await run(db => read(db, 'run'), { token: 'nonsense' }))[0],
      true,
      'nobody knows what a broken one stood for: the primary has it',
    )
    await allCurrent(test, cluster)
    const [found, server] = await run(db => read(db, 'run'), { token })
    t.ok(found)
    t.match(server, /replica/)
    await run(
      async db => {
        t.equal(typeof db.token, 'string', 'what it was given is passed on')
        await read(db, 'run')
      },
      { token },
    )
  })

  await t.test('run(fn, { consistency })', async t => {
    await allCurrent(test, cluster)
    await pauseAll()
    const token = await write('consistency')
    const { run } = app.sqlAssist
    t.same(await run(db => read(db, 'consistency'), { consistency: 'primary' }), [true, 'primary'])
    const [found, server] = await run(db => read(db, 'consistency'), { token, consistency: 'eventual' })
    t.notOk(found)
    t.match(server, /replica/)
    t.same(await run(db => read(db, 'consistency'), { token, consistency: 'session' }), [true, 'primary'])
    await run(
      async db => {
        db.writer.create(Note, { tag: 'own', body: 'a' })
        await db.commit()
        t.same(
          await read(db, 'own'),
          [true, 'primary'],
          'what a scope has written itself, it reads in any case',
        )
      },
      { consistency: 'eventual' },
    )
    await run(
      async db => {
        await read(db, 'consistency')
        t.equal(db.token, undefined, 'nothing is remembered of eventual reads')
      },
      { consistency: 'eventual' },
    )
  })

  await t.test('a route decides before the plugin', async t => {
    await allCurrent(test, cluster)
    await pauseAll()
    const browser = new Browser(test)
    t.equal((await browser.ask('POST', '/notes/route', {})).status, 201)
    const ask = async (prefix: string, from = browser) => {
      const { status, body } = await from.ask('GET', `${prefix}/notes/route`)
      return [status, names[JSON.parse(body).port as number]?.replace(/\d/, '')]
    }
    t.same(await ask(''), [200, 'primary'])
    t.same(await ask('/session'), [200, 'primary'])
    t.same(await ask('/primary'), [200, 'primary'])
    t.same(await ask('/eventual'), [404, 'replica'])
    const stranger = new Browser(test)
    t.same(await ask('/eventual', stranger), [404, 'replica'])
    t.same(stranger.cookies, {}, 'an eventual read sends no token')
    t.same(await ask('/primary', stranger), [200, 'primary'])
    t.same(
      await ask('', stranger),
      [200, 'primary'],
      'what it has seen on the primary it does not miss later',
    )
    await allCurrent(test, cluster)
    t.same(await ask(''), [200, 'replica'])
    t.same(await ask('/primary'), [200, 'primary'])
  })

  await t.test('the plugin can say eventual, and a route session', async t => {
    const eventual = await routedApp(t, cluster, {
      server: { logger: false },
      routing: { probe: PATIENT_PROBE, wait: 50, consistency: 'eventual', token: { secret: SECRET } },
      routes: app => {
        addNoteRoutes(app)
        addNoteRoutes(app, 'session', '/session')
      },
    })
    await allCurrent(eventual, cluster)
    await pauseAll()
    const browser = new Browser(eventual)
    t.equal((await browser.ask('POST', '/notes/plugin', {})).status, 201)
    t.equal((await browser.ask('GET', '/notes/plugin')).status, 404)
    t.equal((await browser.ask('GET', '/session/notes/plugin')).status, 200)
    t.same(await eventual.remains(), NOTHING)
  })

  await t.test('what one engine has read, another engine of the cluster does not miss', async t => {
    for (const [fresh, late, engine, other] of [
      [first, second, 'left', 'right'],
      [second, first, 'right', 'left'],
    ] as const) {
      await allCurrent(test, cluster)
      await late?.pauseReplay()
      await databaseOf(cluster, t).sql(`insert into note (tag, body) values ('of others, ${engine}', 'x')`)
      await fresh?.caughtUp()
      const tag = `of others, ${engine}`
      t.equal((await app.sqlAssist.run(db => read(db, tag, other)))[0], false, 'the other one has not got it')
      await app.sqlAssist.run(async db => {
        t.ok((await read(db, tag, engine))[0])
        t.same(await read(db, tag, other), [true, 'primary'], 'in one request')
      })
      let token: string | undefined
      await app.sqlAssist.run(async db => {
        await read(db, tag, engine)
        token = db.token
      })
      t.same(
        await app.sqlAssist.run(db => read(db, tag, other), { token }),
        [true, 'primary'],
        'in the next one',
      )
    }
  })

  await t.test('what another engine writes moves the token', async t => {
    await allCurrent(test, cluster)
    await pauseAll()
    const token = await app.sqlAssist.run(async db => {
      db.logger.create(Audit, { tag: 'logged' })
      await db.logger.flush()
      return db.token
    })
    t.type(token, 'string', 'without a COMMIT of the request')
    await app.sqlAssist.run(async db => t.ok(await db.reader.findOne(Audit, { tag: 'logged' })), { token })
  })

  await t.test('request.db.token is there after commit, and not before', async t => {
    await app.sqlAssist.run(async db => {
      t.equal(db.token, undefined)
      db.writer.create(Note, { tag: 'token', body: 'a' })
      await db.writer.flush()
      t.equal(db.token, undefined, 'nothing is committed')
      await db.commit()
      const token = db.token
      t.type(token, 'string')
      db.writer.create(Note, { tag: 'token 2', body: 'a' })
      await db.commit()
      t.not(db.token, token, 'and it moves on')
    })
    await app.sqlAssist.run(async db => {
      db.writer.create(Note, { tag: 'rolled back', body: 'a' })
      await db.writer.flush()
      await db.rollback()
      t.equal(db.token, undefined, 'nothing was')
    })
  })

  await t.test('a job sees what the request wrote: its token travels through a queue', async t => {
    await allCurrent(test, cluster)
    const queue = new pg.Client(cluster.primary.url)
    await queue.connect()
    t.teardown(() => queue.end())
    const done: unknown[] = []
    queue.on('notification', ({ payload = '' }) => {
      const { tag, token } = JSON.parse(payload) as { tag: string; token: string }
      const work = async () => [
        (await app.sqlAssist.run(db => read(db, tag), { token }))[0],
        (await app.sqlAssist.run(db => read(db, tag)))[0],
      ]
      work().then(
        found => done.push(found),
        error => done.push(error),
      )
    })
    await queue.query('listen jobs')
    await pauseAll()
    const { status, body } = await new Browser(test).ask('POST', '/jobs/queued', {})
    t.same([status, JSON.parse(body)], [202, { before: 'undefined', after: 'string' }])
    t.ok(await eventually(() => done.length === 1))
    t.same(done, [[true, false]], 'with the token; and without it, late')
  })

  await allCurrent(test, cluster)
  t.same(await test.remains(), NOTHING)
})
