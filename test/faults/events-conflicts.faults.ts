import t from 'tap'
import { OriginatorVersionConflictError } from '../../plugins/events/index.ts'
import { Invoice, schoolOn } from '../events/school.ts'
import { onEveryBackend } from '../support/backends.ts'

// Two writers with the same version: one wins, and of the other there is nothing, neither event nor entity.

const ROUNDS = Number(process.env.ROUNDS ?? 1_000)

t.setTimeout(300_000)

await onEveryBackend(
  t,
  (t, backend) => {
    for (const ordering of ['watermark', 'strict'] as const) {
      t.test(`${ordering}: ${ROUNDS} rounds of two writers with the same version`, async t => {
        const { school, invoiced } = await schoolOn(t, backend, { ordering, cache: { max: 10 } })
        const name = `contested-${ordering}`
        await school.register(name)
        const winners: string[] = []
        for (let round = 0; round < ROUNDS; round++) {
          // Both have the same version before one of them writes.
          const dogs = await Promise.all([school.get(name), school.get(name)])
          const outcomes = await Promise.allSettled(
            dogs.map((dog, who) =>
              school.transaction(async session => {
                session.persist(session.create(Invoice, { dog: `${name} ${who}-${round}` }))
                // Sometimes before the events, sometimes behind.
                if (round % 2 === 0) await session.flush()
                dog.addTrick(`${who}-${round}`)
                await school.save(dog)
              }),
            ),
          )
          const won = outcomes.flatMap(({ status }, who) =>
            status === 'fulfilled' ? [`${who}-${round}`] : [],
          )
          const lost = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : []))
          if (won.length !== 1 || !(lost[0] instanceof OriginatorVersionConflictError)) {
            t.fail(`round ${round}: ${won.length} have won`, { lost })
          }
          winners.push(...won)
          if (round % 200 === 199) t.comment(`${round + 1} rounds`)
        }
        const dog = await school.get(name)
        t.equal(dog.version, ROUNDS + 1)
        t.same(dog.tricks, winners)
        t.same(
          (await invoiced()).filter(dog => dog.startsWith(name)).map(dog => dog.slice(name.length + 1)),
          winners,
          'an invoice of each winner, and of nobody else',
        )
      })
    }
  },
  ['PostgreSQL'],
)
