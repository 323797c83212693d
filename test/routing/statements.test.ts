import { defineEntity, LockMode, p } from '@mikro-orm/postgresql'
import t from 'tap'
import type { Db } from '../../src/index.ts'
import { Audit, NOTHING, Note, type TestApp } from '../support/app.ts'
import {
  allCurrent,
  databaseOf,
  PATIENT_PROBE,
  type RoutedOptions,
  replicatedCluster,
  routedApp,
  tapped,
} from '../support/routed-app.ts'
import { WireTap } from '../support/wire-tap.ts'

// Which server each statement goes to, as seen on the wire.

const Author = defineEntity({
  name: 'Author',
  tableName: 'author',
  properties: {
    id: p.integer().primary(),
    name: p.string(),
    books: () => p.oneToMany(Book).mappedBy('author'),
  },
})
const Book = defineEntity({
  name: 'Book',
  tableName: 'book',
  properties: { id: p.integer().primary(), title: p.string(), author: () => p.manyToOne(Author) },
})
const entities = [Note, Audit, Author, Book]

const TABLES = `
create table author (id serial primary key, name text not null);
create table book (id serial primary key, title text not null, author_id int not null references author (id));
insert into author (name) values ('Lem'), ('Dick'), ('Le Guin');
insert into book (title, author_id) select 'book ' || n, 1 + n % 3 from generate_series(1, 30) n;
create function write_note(text) returns int language sql volatile as $$
  insert into note (tag, body) values ($1, 'by a function') returning id
$$;
`

interface Case {
  /** What the statements are, in order. */
  readonly does: (db: Db, tag: string) => Promise<unknown>
  /** Where they go: `P` the primary, `R` one replica, always the same; `-` stands for BEGIN, COMMIT and ROLLBACK. */
  readonly goes: string
}

const sql = 'select 1 as one'

const CASES: Record<string, Case> = {
  reads: {
    does: async db => {
      for (let i = 0; i < 5; i++) await db.reader.execute(sql)
    },
    goes: 'RRRRR',
  },
  'reads side by side': {
    does: db => Promise.all(Array.from({ length: 8 }, () => db.reader.execute(sql))),
    goes: 'RRRRRRRR',
  },
  'finds side by side': {
    does: db =>
      Promise.all([
        db.reader.find(Author, {}),
        db.reader.find(Book, {}, { populate: ['author'] }),
        db.reader.count(Book),
      ]),
    goes: 'RRR',
  },
  'a QueryBuilder': {
    does: async db => {
      await db.reader.createQueryBuilder(Author, 'a').select('*').where({ name: 'Lem' }).getResult()
      await db.reader.createQueryBuilder(Book, 'b').count().execute()
    },
    goes: 'RR',
  },
  'Kysely, with bound parameters': {
    does: async db => {
      const kysely = db.reader.getKysely<{ author: { id: number; name: string } }>()
      await kysely.selectFrom('author').selectAll().where('id', '=', 1).execute()
    },
    goes: 'RR', // the position is a message of its own behind bound parameters
  },
  'a stream': {
    does: async db => {
      let rows = 0
      for await (const _ of db.reader.stream(Book)) rows++
      if (rows !== 30) throw new Error(`${rows} rows`)
      await db.reader.execute(sql)
    },
    goes: 'RRR',
  },
  'populated relations': {
    does: async db => {
      const authors = await db.reader.find(Author, {}, { populate: ['books'], strategy: 'select-in' })
      if (authors.flatMap(author => author.books.getItems()).length !== 30) throw new Error('not populated')
    },
    goes: 'RR',
  },
  'relations that are loaded later': {
    does: async db => {
      const authors = await db.reader.find(Author, {})
      await Promise.all(authors.map(author => author.books.load()))
      await db.reader.populate(authors, ['books.author'])
    },
    goes: 'RRRR',
  },
  'em.transactional on the reader': {
    does: db =>
      db.reader.transactional(async em => {
        await em.find(Author, {})
        await em.execute(sql)
        await em.createQueryBuilder(Book).getResult()
      }),
    goes: 'RRR-',
  },
  'a nested em.transactional on the reader, and reads beside it': {
    does: async db => {
      await db.reader.execute(sql)
      await db.reader.transactional(async em => {
        await em.execute(sql)
        await em.transactional(inner => inner.execute(sql))
      })
      await db.reader.execute(sql)
    },
    goes: 'RR-R--R',
  },
  'a writer that only reads, then a reader': {
    does: async db => {
      await db.writer.find(Author, {})
      await db.reader.find(Author, {})
    },
    goes: 'PR',
  },
  'a write that is only pending, then a read': {
    does: async (db, tag) => {
      db.writer.create(Note, { tag, body: 'pending' })
      await db.reader.execute(sql)
    },
    goes: 'R',
  },
  'a write that was flushed, then reads': {
    does: async (db, tag) => {
      await db.reader.execute(sql)
      db.writer.create(Note, { tag, body: 'flushed' })
      await db.writer.flush()
      await db.reader.execute(sql)
      await db.reader.find(Author, {}, { populate: ['books'], strategy: 'select-in' })
    },
    goes: 'RPPPP',
  },
  'raw SQL that writes, then a read': {
    does: async (db, tag) => {
      await db.writer.execute(`  /* hello */ insert into note (tag, body) values ('${tag}', 'raw')`)
      await db.reader.execute(sql)
    },
    goes: 'PP',
  },
  'a CTE that writes, then a read': {
    does: async (db, tag) => {
      await db.writer.execute(
        `with x as (insert into note (tag, body) values ('${tag}', 'x') returning id) select * from x`,
      )
      await db.reader.execute(sql)
    },
    goes: 'PP',
  },
  'Kysely that writes, then a read': {
    does: async (db, tag) => {
      const kysely = db.writer.getKysely<{ note: { id?: number; tag: string; body: string } }>()
      await kysely.insertInto('note').values({ tag, body: 'kysely' }).execute()
      await db.reader.execute(sql)
    },
    goes: '-PP', // bound parameters: BEGIN is a message of its own
  },
  'an update by QueryBuilder, rolled back, then a read': {
    does: async (db, tag) => {
      await db.writer.createQueryBuilder(Note).update({ body: 'b' }).where({ tag }).execute()
      await db.rollback()
      await db.reader.execute(sql)
    },
    goes: 'P-P',
  },
  'em.transactional on the writer, then a read': {
    does: async (db, tag) => {
      await db.writer.transactional(async em => {
        em.create(Note, { tag, body: 'transactional' })
      })
      await db.reader.execute(sql)
    },
    goes: 'PP-P',
  },
  'a commit in the middle': {
    does: async (db, tag) => {
      db.writer.create(Note, { tag, body: 'committed' })
      await db.commit()
      const note = await db.reader.findOne(Note, { tag })
      if (note === null) throw new Error('it is not there')
    },
    goes: 'P-P',
  },
  'a line of the logger, then a read': {
    does: async (db, tag) => {
      db.logger.create(Audit, { tag })
      await db.logger.flush()
      if ((await db.reader.findOne(Audit, { tag })) === null) throw new Error('it is not there')
    },
    goes: 'P-P',
  },
  'SQL that the logger commits by itself, then a read': {
    does: async (db, tag) => {
      await db.logger.execute(`insert into audit (tag) values ('${tag}')`)
      if ((await db.reader.findOne(Audit, { tag })) === null) throw new Error('it is not there')
    },
    goes: 'PPP', // where it is in the log cannot be asked in the message of a statement that commits itself
  },
  'a lock through the writer': {
    does: db => db.writer.findOne(Author, { id: 1 }, { lockMode: LockMode.PESSIMISTIC_WRITE }),
    goes: 'P',
  },
}

/** `R`, `P`, `-` and the names of the replicas that were used. */
function pattern(taken: string[]): { goes: string; replicas: Set<string> } {
  const replicas = new Set<string>()
  const goes = taken.map(line => {
    const [server = '', text = ''] = line.split(/: (.*)/s)
    if (server !== 'primary') replicas.add(server)
    if (
      /^(begin( read only)?|commit|rollback|savepoint|release|start transaction)\b(?!.*;(?!select case))/is.test(
        text,
      )
    )
      return '-'
    return server === 'primary' ? 'P' : 'R'
  })
  return { goes: goes.join(''), replicas }
}

t.test('where statements go', async t => {
  // What was committed without waiting for the disk stays out of the log for long.
  const cluster = await replicatedCluster(t, 2, { wal_writer_delay: '10s' })
  const owner = databaseOf(cluster, t)
  await owner.sql(TABLES)
  const tap = await WireTap.of(t, cluster)
  const start = async (options: RoutedOptions = {}): Promise<TestApp> => {
    const { reader, engines } = tapped(cluster, tap, { entities }, 10)
    const test = await routedApp(t, cluster, {
      ...options,
      reader: { ...reader, ...options.reader },
      engines,
    })
    await allCurrent(test, cluster)
    tap.taken()
    return test
  }
  const test = await start({ routing: { probe: PATIENT_PROBE } })

  for (const [name, { does, goes }] of Object.entries(CASES)) {
    await t.test(name, async t => {
      // Replicas are chosen by chance: once may be luck.
      for (let round = 0; round < 4; round++) {
        await allCurrent(test, cluster)
        tap.taken()
        let during: string[] = []
        await test.app.sqlAssist.run(async db => {
          await does(db as Db, `${name} ${round}`)
          during = tap.taken()
        })
        const found = pattern(during)
        t.equal(found.goes, goes, during.join('\n'))
        t.ok(found.replicas.size <= 1, `one replica serves all reads of a request: ${[...found.replicas]}`)
      }
    })
  }

  /** What a statement on the reader is refused with, and where it was sent. */
  const refusal = (does: (db: Db) => Promise<unknown>, on = test) =>
    on.app.sqlAssist.run(async db => {
      tap.taken()
      const error = await does(db as Db).then(
        () => ({ code: 'none' }),
        thrown => thrown as { code?: string },
      )
      return `${error.code} ${pattern(tap.taken()).goes}`.trim()
    })

  const FORBIDDEN: Record<string, [(db: Db) => Promise<unknown>, string]> = {
    'a lock': [db => db.reader.execute('select * from author for update'), '25006 R'],
    'a lock with MikroORM': [
      db =>
        db.reader.transactional(em =>
          em.findOne(Author, { id: 1 }, { lockMode: LockMode.PESSIMISTIC_WRITE }),
        ),
      '25006 RR-',
    ],
    'a function that writes': [db => db.reader.execute(`select write_note('no')`), '25006 R'],
    'a CTE that writes': [
      db =>
        db.reader.execute(
          `with x as (insert into note (tag, body) values ('no', 'no') returning id) select * from x`,
        ),
      '25006 R',
    ],
    'an insert': [
      db => db.reader.execute(`insert into note (tag, body) values ('no', 'no')`),
      'SQLA_ERR_READ_ONLY',
    ],
    'an insert behind a comment': [
      db => db.reader.execute(`/* x */ insert into note (tag, body) values ('no', 'no')`),
      '25006 R',
    ],
    'an insert with Kysely': [
      db =>
        db.reader
          .getKysely<{ note: { tag: string; body: string } }>()
          .insertInto('note')
          .values({ tag: 'no', body: 'no' })
          .execute(),
      'SQLA_ERR_READ_ONLY',
    ],
  }
  await t.test(
    'what the reader is refused, by the replica itself, and never sent to the primary',
    async t => {
      for (const [name, [does, answer]] of Object.entries(FORBIDDEN))
        t.equal(await refusal(does), answer, name)
      t.same(await owner.sql(`select from note where tag = 'no'`), [])
    },
  )

  await t.test('the same on the primary, when reads go there', async t => {
    const onPrimary = await start({ routing: { probe: PATIENT_PROBE, consistency: 'primary' } })
    for (const [name, [does, answer]] of Object.entries(FORBIDDEN)) {
      // The role may not write either, which the server may say first.
      const found = (await refusal(does, onPrimary)).replace('42501', '25006')
      t.equal(
        found,
        answer.replace(/(?<=^25006 )R+/, reads => 'P'.repeat(reads.length)),
        name,
      )
    }
    t.same(await owner.sql(`select from note where tag = 'no'`), [])
  })

  await t.test('a snapshot reader keeps its server and its snapshot until the request ends', async t => {
    const snapshot = await start({ reader: { snapshot: true }, routing: { probe: PATIENT_PROBE } })
    for (let round = 0; round < 4; round++) {
      await allCurrent(snapshot, cluster)
      await snapshot.app.sqlAssist.run(async db => {
        tap.taken()
        await Promise.all([db.reader.execute(sql), db.reader.find(Author, {}), db.reader.count(Book)])
        db.writer.create(Note, { tag: `snapshot ${round}`, body: 'x' })
        await db.commit()
        t.equal(
          await db.reader.findOne(Note, { tag: `snapshot ${round}` }),
          null,
          'the snapshot is from before',
        )
        const found = pattern(tap.taken())
        t.equal(found.goes, 'RRRP-R')
        t.equal(found.replicas.size, 1)
      })
      await snapshot.app.sqlAssist.run(async db => {
        db.writer.create(Note, { tag: `snapshot after ${round}`, body: 'x' })
        await db.commit()
        t.ok(await db.reader.findOne(Note, { tag: `snapshot after ${round}` }), 'one that began later has it')
      })
    }
  })

  await t.test('a fork of a session is not the request: it reads from the primary', async t => {
    await test.app.sqlAssist.run(async db => {
      tap.taken()
      await db.reader.fork().find(Author, {})
      t.equal(pattern(tap.taken()).goes, 'P')
    })
  })

  /** Writes as one client, and reads in a later request of the same client. */
  const isReadBehind = async (on: TestApp, writes: Case['does'], tag: string): Promise<boolean> => {
    const token = await on.app.sqlAssist.run(async db => {
      await writes(db as Db, tag)
      await db.commit()
      return db.token
    })
    return (await on.app.sqlAssist.run(db => db.reader.findOne(Note, { tag }), { token })) !== null
  }

  await t.test('what is written in unusual ways is read behind it', async t => {
    const WAYS: Record<string, Case['does']> = {
      'a function, through the writer': (db, tag) => db.writer.execute(`select write_note('${tag}')`),
      'a function, through the logger': (db, tag) => db.logger.execute(`select write_note('${tag}')`),
      'a stream of RETURNING, through the logger': async (db, tag) => {
        const kysely = db.logger.getKysely<{ note: { tag: string; body: string } }>()
        const rows = kysely.insertInto('note').values({ tag, body: 'x' }).returningAll().stream()
        for await (const row of rows) t.equal(row.tag, tag)
      },
      'em.transactional, through the logger': (db, tag) =>
        db.logger.transactional(async em => em.create(Note, { tag, body: 'x' })),
    }
    const patient = await start({ routing: { probe: PATIENT_PROBE, wait: 0 } })
    const { engines } = tapped(cluster, tap, { entities, onCreateConnection: async () => {} })
    // With a hook of MikroORM's an engine is driven through Kysely's own pool.
    const hooked = await routedApp(t, cluster, {
      engines,
      routing: { probe: PATIENT_PROBE, wait: 0 },
      reader: tapped(cluster, tap, { entities }).reader,
    })
    for (const [name, writes] of Object.entries(WAYS)) {
      for (const [index, on] of [patient, hooked].entries()) {
        await allCurrent(on, cluster)
        for (const replica of cluster.replicas) await replica.pauseReplay()
        t.ok(
          await isReadBehind(on, writes, `${name} ${index}`),
          `${name}${on === hooked ? ', with a hook' : ''}`,
        )
      }
    }
    await allCurrent(patient, cluster)
  })

  await t.test('what was committed without waiting for the disk is read behind it', async t => {
    const WAYS: Record<string, Case['does']> = {
      'set local': async (db, tag) => {
        await db.writer.execute('set local synchronous_commit = off')
        db.writer.create(Note, { tag, body: 'x' })
      },
      set_config: async (db, tag) => {
        await db.writer.execute(`select set_config('synchronous_commit', 'off', true)`)
        db.writer.create(Note, { tag, body: 'x' })
      },
    }
    const prompt = await start({ routing: { probe: PATIENT_PROBE, wait: 0 } })
    for (const [name, writes] of Object.entries(WAYS)) {
      for (let round = 0; round < 3; round++)
        t.ok(await isReadBehind(prompt, writes, `${name} ${round}`), name)
    }
  })

  await t.test('what a stream and a statement that is none have seen', async t => {
    for (const replica of cluster.replicas) await replica.caughtUp()
    await test.app.sqlAssist.run(async db => {
      for await (const _ of db.reader.stream(Author)) break
      t.type(db.token, 'string', 'a stream that was left early counts')
    })
    await test.app.sqlAssist.run(async db => {
      await db.reader.execute('-- nothing')
      t.type(db.token, 'string')
    })
  })

  t.same(await test.remains(), NOTHING)
})
