import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from '../../src/index.ts'
import type { TwoDb } from '../transactions/two-databases.ts'

// A process of test/faults/two-phase-transfers.faults.ts. Told `<first> <count>`, it makes that many transfers at once, and says
// what has become of each, until it is killed.

const { URL_OF_A = '', URL_OF_B = '', AT_ONCE = '1', NAME = '' } = process.env
const app = Fastify()
const orm = (clientUrl: string) =>
  defineConfig({
    clientUrl,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    pool: { min: 0, max: Number(AT_ONCE) },
    driverOptions: { application_name: NAME },
  })
await app.register(sqlAssist, {
  twoPhase: true,
  engines: { a: { orm: orm(URL_OF_A) }, b: { orm: orm(URL_OF_B) } },
})
await app.ready()

// Written before it returns: what has been said is heard, whenever we are killed.
const say = (text: string): void => void writeSync(1, `${text}\n`)

/** @param allHaveWritten all commit at the same time, so that whoever kills us hits commits */
async function transfer(id: number, allHaveWritten: () => Promise<void>): Promise<void> {
  const amount = 1 + (id % 50)
  await app.sqlAssist.run(async db => {
    const { a, b } = db as TwoDb
    await a.execute('insert into transfer values (?)', [id])
    await a.execute('update account set balance = balance - ? where id = ?', [amount, id])
    await b.execute('insert into transfer values (?)', [id])
    await b.execute('update account set balance = balance + ? where id = ?', [amount, id])
    await allHaveWritten()
  })
}

createInterface({ input: process.stdin }).on('line', line => {
  const [first = 0, count = 0] = line.split(' ').map(Number)
  let missing = count
  const { promise: written, resolve } = Promise.withResolvers<void>()
  const allHaveWritten = (): Promise<void> => {
    if (--missing === 0) {
      say('committing')
      resolve()
    }
    return written
  }
  const all = Array.from({ length: count }, (_none, n) =>
    transfer(first + n, allHaveWritten).then(
      () => say(`done ${first + n}`),
      error =>
        say(`${error.code === 'SQLA_ERR_COMMIT_IN_DOUBT' ? 'unknown' : 'failed'} ${first + n} ${error.code}`),
    ),
  )
  void Promise.all(all).then(() => say('all'))
})
say('ready')
