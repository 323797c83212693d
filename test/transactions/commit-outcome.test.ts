import t from 'tap'
import { inDoubt } from './in-doubt.ts'

// The connection is lost while COMMIT is on its way: the answer says what the database has.

t.test('COMMIT never arrived: an error, and nothing is there', async t => {
  const { write, used } = await inDoubt(t)
  for (const path of ['/entity', '/bound', '/function']) {
    t.same(await write('before', path), { status: 503, code: 'SQLA_ERR_COMMIT_LOST', isThere: false }, path)
  }
  t.equal(used(), 0)
})

t.test('the answer got lost: success, and it is there', async t => {
  const { write, used, proxy } = await inDoubt(t)
  for (const path of ['/entity', '/bound', '/function']) {
    t.same(await write('after', path), { status: 200, isThere: true }, path)
  }
  t.equal(proxy.cuts, 3)
  t.equal(used(), 0)
})

t.test('while the server commits: the answer is what became of it', async t => {
  const { write } = await inDoubt(t)
  for (let round = 0; round < 20; round++) {
    const { status, isThere } = await write('during')
    t.equal(status, isThere ? 200 : 503)
  }
})

t.test('nothing was written: the error is the connection’s', async t => {
  const { write } = await inDoubt(t)
  const { status, code } = await write('before', '/read')
  t.equal(status, 500)
  t.notMatch(String(code), 'SQLA_ERR_COMMIT')
})

t.test('nobody answers who could tell: it is in doubt, and said to be', async t => {
  const { write, proxy } = await inDoubt(t, 1)
  await write(undefined)
  const writing = write('after')
  // The COMMIT goes through the connection that there is; whoever asks needs a new one.
  proxy.refuse(true)
  const answer = await writing
  proxy.refuse(false)
  t.same(answer, { status: 503, code: 'SQLA_ERR_COMMIT_IN_DOUBT', isThere: true })
  t.equal((await write(undefined)).status, 200, 'the engine goes on')
})
