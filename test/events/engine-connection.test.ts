import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import { onConnection, outside } from '../../plugins/events/engine-connection.ts'
import { onEveryBackend } from '../support/backends.ts'
import { engineOn } from './recorders/stores.ts'

await onEveryBackend(t, async (t, backend) => {
  const { engine } = await engineOn(t, backend)
  const one = backend.dialect === 'postgresql' ? 'select $1::int as one' : 'select ? as one'

  t.test('statements run on a connection of the pool, which is given back', async t => {
    const rows = await onConnection(engine, 1_000, async ask => {
      t.equal(engine.figures.used, 1)
      return [...(await ask(one, [1])), ...(await ask('select 2 as one'))]
    })
    t.same(
      rows.map(row => Number((row as { one: unknown }).one)),
      [1, 2],
    )
    t.equal(engine.figures.used, 0)
  })

  t.test('what fails gives it back, too', async t => {
    await t.rejects(onConnection(engine, 1_000, ask => ask('nonsense')))
    t.equal(engine.figures.used, 0)
  })

  t.test('what is run outside knows nothing of who has called it', async t => {
    const storage = new AsyncLocalStorage<string>()
    await storage.run('a request', async () => {
      t.equal(storage.getStore(), 'a request')
      t.equal(
        outside(() => storage.getStore()),
        undefined,
      )
    })
  })

  // The other drivers do not let go of a connection that is busy.
  if (backend.dialect !== 'postgresql') return

  t.test('a connection that does not answer is thrown away', async t => {
    const from = performance.now()
    await t.rejects(
      onConnection(engine, 100, ask => ask('select pg_sleep(20)')),
      { code: 'ETIMEDOUT' },
    )
    t.ok(performance.now() - from < 10_000)
    t.equal(engine.figures.used, 0)
    await onConnection(engine, 10_000, ask => ask('select 1'))
  })
})
