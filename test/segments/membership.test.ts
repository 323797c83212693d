import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { countMaterialised } from '../../plugins/segments/count.ts'
import { isContextInSegment } from '../../plugins/segments/evaluate.ts'
import type { SegmentContext, Traits } from '../../plugins/segments/segment.ts'
import { segmentTables } from '../../plugins/segments/tables.ts'
import {
  appOn,
  both,
  ENVIRONMENT,
  newPlace,
  onPostgres,
  type TestApp,
  tablesOf,
  until,
  where,
} from './segments-app.ts'

// Who is in a segment, written down: always what the evaluator says of the identities that are stored.

const ADULT = where('age', 'GREATER_THAN_INCLUSIVE', '18', 'adult')
const MINOR = where('age', 'LESS_THAN', '18', 'adult')
/** Has no SQL. */
const ATOMIC = where('name', 'REGEX', 'a(?>b|bc)d', 'atomic')

interface World extends TestApp {
  readonly place: string
  /** The identifiers of those who are in a segment. */
  in(key: string): Promise<string[]>
  /** What is written down that the evaluator says otherwise, or the reverse. */
  wrong(): Promise<string[]>
}

await onPostgres(t, async (t, backend) => {
  async function world(t: Test): Promise<World> {
    const place = newPlace()
    const it = await appOn(t, backend, { place })
    return {
      ...it,
      place,
      in: async key => (await it.app.segments.membersOf(key)).identities.map(one => one.identifier).sort(),
      wrong: () => wrongRows(it, place),
    }
  }

  async function wrongRows({ sql }: TestApp, place: string): Promise<string[]> {
    const segments: { data: SegmentContext; materialised: boolean }[] = await sql(
      `select data, materialised from ${place}_segments`,
    )
    const people: { id: string; identifier: string; traits: Traits }[] = await sql(
      `select id, identifier, traits from ${place}_identities`,
    )
    const rows: { segment_key: string; identity_id: string }[] = await sql(`select * from ${place}_members`)
    const written = new Set(rows.map(row => `${row.segment_key} ${row.identity_id}`))
    const right = new Set(
      segments
        .filter(({ materialised }) => materialised)
        .flatMap(({ data }) =>
          people
            .filter(({ identifier, traits }) =>
              isContextInSegment({ environment: ENVIRONMENT, identity: { identifier, traits } }, data),
            )
            .map(({ id }) => `${data.key} ${id}`),
        ),
    )
    return [...written, ...right].filter(row => written.has(row) !== right.has(row))
  }

  t.test('a segment is filled, and then follows those who change', async t => {
    const it = await world(t)
    const { segments } = it.app
    await segments.upsertIdentities([
      { identifier: 'ann', traits: { age: 17 } },
      { identifier: 'bob', traits: { age: 40 } },
      { identifier: 'cid', traits: { age: 50, name: 'abcd' } },
      { identifier: 'dan', traits: { age: 3, name: 'abd' } },
    ])
    t.equal(await segments.materialise(ADULT), 2)
    t.equal(await segments.materialise(ATOMIC), 1, 'also where the evaluator has to help')
    t.same([await it.in('adult'), await it.in('atomic')], [['bob', 'cid'], ['dan']])
    await segments.upsertIdentity({ identifier: 'ann', traits: { age: 18 } })
    await segments.upsertIdentity({ identifier: 'bob', traits: { age: 2, name: 'abd' } })
    await segments.upsertIdentity({ identifier: 'cid', traits: { name: 'abd' } }, { merge: true })
    await segments.upsertIdentity({ identifier: 'eve', traits: { age: 99 } })
    t.same(
      [await it.in('adult'), await it.in('atomic')],
      [
        ['ann', 'cid', 'eve'],
        ['bob', 'cid', 'dan'],
      ],
    )
    await segments.deleteIdentity('cid')
    t.same(
      [await it.in('adult'), await it.in('atomic')],
      [
        ['ann', 'eve'],
        ['bob', 'dan'],
      ],
    )
    t.same(await it.wrong(), [])
    t.equal(await segments.count('adult'), 2)
  })

  t.test('the count of a key is read from what is written down, that of a segment is not', async t => {
    const it = await world(t)
    const { segments } = it.app
    await segments.upsertIdentities([
      { identifier: 'ann', traits: { age: 17 } },
      { identifier: 'bob', traits: { age: 40 } },
    ])
    await segments.materialise(ADULT)
    // Something that nobody but the table of members knows.
    await it.sql(`delete from ${it.place}_members`)
    t.equal(await segments.count('adult'), 0)
    t.match(await segments.countMany(['adult', ADULT]), [{ count: 0 }, { count: 1 }])
    t.equal(await segments.count(ADULT), 1)
    t.equal((await segments.members('adult')).identities.length, 1)
    t.equal(await segments.materialise('adult'), 1, 'filling it again mends it')
    const em = it.app.sqlAssist.engines.get('writer').orm.em.fork()
    const source = {
      environment: ENVIRONMENT,
      tables: segmentTables({ tables: tablesOf(it.place) }),
    } as never
    t.equal(await countMaterialised(em, source, 'adult'), 1)
    t.equal(await segments.dematerialise('adult'), true)
    t.equal(await segments.dematerialise('adult'), false)
    t.equal(await countMaterialised(em, source, 'adult'), undefined, 'ended by somebody else in between')
    t.equal(await segments.count('adult'), 1)
    await t.rejects(segments.membersOf('adult'), { code: 'SQLA_ERR_SEGMENT_NOT_MATERIALISED' })
    await t.rejects(segments.membersOf('nope'), { code: 'SQLA_ERR_SEGMENT_UNKNOWN' })
    await t.rejects(segments.materialise('nope'), { code: 'SQLA_ERR_SEGMENT_UNKNOWN' })
    await t.rejects(segments.materialise(where('x', 'NO' as never, '1')), {
      code: 'SQLA_ERR_SEGMENT_INVALID',
    })
    t.same(await it.wrong(), [])
  })

  t.test('a segment that is saved again is filled again; one that is deleted leaves nothing', async t => {
    const it = await world(t)
    const { segments } = it.app
    await segments.upsertIdentities([
      { identifier: 'ann', traits: { age: 17 } },
      { identifier: 'bob', traits: { age: 40 } },
    ])
    await segments.materialise(ADULT)
    await segments.saveSegment(MINOR)
    t.same(await it.in('adult'), ['ann'])
    await segments.upsertIdentity({ identifier: 'ann', traits: { age: 20 } })
    await segments.upsertIdentity({ identifier: 'bob', traits: { age: 4 } })
    t.same(await it.in('adult'), ['bob'], 'and follows the new rules')
    await segments.deleteSegment('adult')
    t.same(await it.sql(`select * from ${it.place}_members`), [])
    await segments.upsertIdentity({ identifier: 'cid', traits: { age: 4 } })
    t.same(await it.sql(`select * from ${it.place}_members`), [])
    await segments.saveSegment(ADULT)
    t.same(await it.wrong(), [])
  })

  t.test('pages of what is written down', async t => {
    const it = await world(t)
    const { segments } = it.app
    const people = Array.from({ length: 250 }, (_, n) => ({ identifier: `u${n}`, traits: { age: n } }))
    await segments.upsertIdentities(people)
    t.equal(await segments.materialise(ADULT), 232)
    const found: string[] = []
    let after: string | undefined
    do {
      const page = await segments.membersOf('adult', { limit: 58, after })
      found.push(...page.identities.map(one => one.identifier))
      after = page.next ?? undefined
    } while (after !== undefined)
    t.same(
      [...found].sort(),
      people
        .slice(18)
        .map(one => one.identifier)
        .sort(),
    )
    await it.sql(`delete from ${it.place}_identities where identifier = 'u100'`)
    t.equal(
      (await segments.membersOf('adult', { limit: 500 })).identities.length,
      231,
      'whoever is gone is not shown',
    )
  })

  t.test('what is rolled back never was', async t => {
    const it = await world(t)
    const { segments } = it.app
    await segments.upsertIdentity({ identifier: 'ann', traits: { age: 40 } })
    await segments.materialise(ADULT)
    const undone = it.app.sqlAssist.run(async db => {
      const mine = segments.on(db.writer)
      await mine.upsertIdentity({ identifier: 'ann', traits: { age: 1 } })
      await mine.upsertIdentity({ identifier: 'bob', traits: { age: 50 } })
      await mine.saveSegment(MINOR)
      t.equal(await mine.count('adult'), 1, 'within it is seen')
      t.equal((await mine.membersOf('adult')).identities[0]?.identifier, 'ann')
      throw new TypeError('after all not')
    })
    await t.rejects(undone, /after all not/)
    t.same(await it.in('adult'), ['ann'])
    t.same(await it.wrong(), [])
  })

  t.test('in a transaction that cannot see what others commit, nothing is changed', async t => {
    const it = await world(t)
    const fork = it.app.sqlAssist.engines.get('writer').orm.em.fork()
    for (const isolationLevel of ['repeatable read', 'serializable']) {
      const changed = fork.transactional(
        em => it.app.segments.on(em as never).upsertIdentity({ identifier: 'ann' }),
        { isolationLevel: isolationLevel as never },
      )
      await t.rejects(changed, { code: 'SQLA_ERR_SEGMENT_STORAGE', message: /read committed/ })
    }
  })

  /** How many statements wait for a lock of this test's tables' connections. */
  const waiting = async ({ sql, place }: World): Promise<number> => {
    const [row] = await sql<{ n: string }>(
      "select count(*) as n from pg_stat_activity where application_name = ? and wait_event_type = 'Lock'",
      [place],
    )
    return Number(row?.n)
  }

  /**
   * Does `first` in a transaction that stays open while `second` begins by itself.
   *
   * @returns whether the second one had to wait
   */
  async function race(
    it: World,
    first: (mine: ReturnType<World['app']['segments']['on']>) => Promise<unknown>,
    second: () => Promise<unknown>,
  ): Promise<boolean> {
    let ran: Promise<unknown> = Promise.resolve()
    let waited = false
    await it.app.sqlAssist.run(async db => {
      await first(it.app.segments.on(db.writer))
      let isDone = false
      ran = second().finally(() => {
        isDone = true
      })
      await until(async () => isDone || (await waiting(it)) > 0, 2_000)
      waited = !isDone
    })
    await ran
    return waited
  }

  t.test('somebody who changes while a segment is filled for the first time', async t => {
    const it = await world(t)
    const { segments } = it.app
    await segments.saveSegment(ADULT)
    await segments.upsertIdentities([
      { identifier: 'ann', traits: { age: 40 } },
      { identifier: 'bob', traits: { age: 1 } },
    ])
    const waited = await race(
      it,
      async mine => {
        await mine.upsertIdentity({ identifier: 'ann', traits: { age: 2 } })
        await mine.upsertIdentity({ identifier: 'new', traits: { age: 60 } })
      },
      () => segments.materialise('adult'),
    )
    t.equal(waited, true, 'filling waits for the change')
    t.same(await it.wrong(), [])
    t.same(await it.in('adult'), ['new'])
  })

  t.test('a segment is filled for the first time while somebody changes', async t => {
    const it = await world(t)
    const { segments } = it.app
    await segments.saveSegment(ADULT)
    await segments.upsertIdentity({ identifier: 'ann', traits: { age: 40 } })
    await race(
      it,
      mine => mine.materialise('adult'),
      () => segments.upsertIdentity({ identifier: 'ann', traits: { age: 2 } }),
    )
    t.same(await it.in('adult'), [])
    await race(
      it,
      mine => mine.saveSegment(MINOR),
      () =>
        segments.upsertIdentities([
          { identifier: 'bob', traits: { age: 3 } },
          { identifier: 'cid', traits: { age: 30 } },
        ]),
    )
    t.same(await it.in('adult'), ['ann', 'bob'], 'the change follows the new rules')
    await race(
      it,
      mine => mine.dematerialise('adult'),
      () => segments.upsertIdentity({ identifier: 'dan', traits: { age: 4 } }),
    )
    t.same(await it.sql(`select * from ${it.place}_members`), [])
    await segments.materialise('adult')
    await race(
      it,
      mine => mine.deleteSegment('adult'),
      () => segments.upsertIdentity({ identifier: 'eve', traits: { age: 4 } }),
    )
    t.same(await it.wrong(), [])
  })

  t.test('somebody is deleted, or changed twice, at the same time', async t => {
    const it = await world(t)
    const { segments } = it.app
    await segments.materialise(ADULT)
    await segments.upsertIdentity({ identifier: 'ann', traits: { age: 40 } })
    await race(
      it,
      mine => mine.upsertIdentity({ identifier: 'ann', traits: { age: 2 } }),
      () => segments.upsertIdentity({ identifier: 'ann', traits: { x: 1 } }, { merge: true }),
    )
    t.same(await it.wrong(), [])
    await race(
      it,
      mine => mine.upsertIdentity({ identifier: 'ann', traits: { age: 50 } }),
      () => segments.deleteIdentity('ann'),
    )
    t.same(await it.wrong(), [])
    await segments.upsertIdentity({ identifier: 'ann', traits: { age: 50 } })
    await race(
      it,
      mine => mine.deleteIdentity('ann'),
      () => segments.materialise('adult'),
    )
    t.same(await it.wrong(), [])
  })

  t.test('two who save the same segment, or materialise it, at once', async t => {
    const it = await world(t)
    const { segments } = it.app
    await segments.upsertIdentities([
      { identifier: 'ann', traits: { age: 40 } },
      { identifier: 'bob', traits: { age: 1 } },
    ])
    await race(
      it,
      mine => mine.saveSegment(ADULT),
      () => segments.saveSegment(MINOR),
    )
    t.same(await it.sql(`select version from ${it.place}_segments`), [{ version: 2 }])
    await race(
      it,
      mine => mine.materialise('adult'),
      () => segments.saveSegment(ADULT),
    )
    t.same(await it.wrong(), [])
    await race(
      it,
      mine => mine.saveSegment(MINOR),
      () => segments.materialise(both(ADULT, MINOR)),
    )
    t.same(await it.wrong(), [])
  })

  t.test('everything at once', async t => {
    const it = await world(t)
    const { segments } = it.app
    await segments.materialise(ADULT)
    const end = performance.now() + 1_200
    const pick = (n: number) => Math.floor(Math.random() * n)
    let changes = 0
    const change = async (): Promise<void> => {
      while (performance.now() < end) {
        const some = Array.from({ length: 1 + pick(4) }, () => ({
          identifier: `u${pick(30)}`,
          traits: { age: pick(36), name: ['abd', 'abcd', 'x'][pick(3)] as string },
        }))
        if (pick(5) === 0) await segments.deleteIdentity(`u${pick(30)}`)
        else await segments.upsertIdentities(some, { merge: pick(2) === 0 })
        changes += 1
      }
    }
    const define = async (): Promise<void> => {
      while (performance.now() < end) {
        const doing = pick(6)
        if (doing === 0) await segments.saveSegment(pick(2) === 0 ? ADULT : MINOR)
        if (doing === 1) await segments.materialise(ATOMIC)
        if (doing === 2) await segments.dematerialise('atomic')
        if (doing === 3) await segments.deleteSegment('adult')
        if (doing > 3) await segments.materialise(pick(2) === 0 ? ADULT : MINOR)
        await sleep(pick(20))
      }
    }
    await Promise.all([change(), change(), change(), change(), define(), define()])
    await segments.materialise(ATOMIC)
    t.ok(changes > 30, `${changes} changes`)
    t.same(await it.wrong(), [])
  })
})
