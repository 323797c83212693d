import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { type FlagStore, flags, flagsApi, MemoryFlagStorage } from '../../plugins/flags/index.ts'
import { apiApp } from './api-app.ts'
import { readEvents } from './event-reader.ts'

/** An application that listens, and how many listeners its client has. */
async function listening(
  t: Test,
  storage: FlagStore,
): Promise<{ app: FastifyInstance; listeners: () => number }> {
  const app = await apiApp(t, storage)
  await app.listen({ port: 0, host: '127.0.0.1' })
  let listeners = 0
  const onChange = app.flags.onChange.bind(app.flags)
  app.flags.onChange = listener => {
    const end = onChange(listener)
    listeners++
    return () => {
      listeners--
      end()
    }
  }
  return { app, listeners: () => listeners }
}

/** Waits until something holds, for 2 seconds at most. */
async function until(holds: () => boolean): Promise<boolean> {
  for (let tries = 0; tries < 200 && !holds(); tries++) await sleep(10)
  return holds()
}

t.test('a client hears of what changes, whoever changes it, and of deletions', async t => {
  const storage = new MemoryFlagStorage()
  await storage.upsert({ name: 'a' })
  const { app } = await listening(t, storage)
  const events = await readEvents(app)
  t.match(events.response.headers, { 'content-type': 'text/event-stream', 'cache-control': /no-cache/ })
  t.match(await events.next(), { event: 'ready', id: '1', data: { version: 1 } })
  await storage.upsert({ name: '<b>\n'.trim(), enabled: true })
  t.match(await events.next(), {
    event: 'change',
    id: '2',
    data: { version: 2, complete: false, flags: [{ name: '<b>', enabled: true }], gone: [] },
  })
  await app.inject({ method: 'DELETE', url: '/flags/a' })
  t.match(await events.next(), { id: '3', data: { flags: [], gone: ['a'] } })
  await storage.purge('<b>')
  t.match(await events.next(), { id: '4', data: { flags: [], gone: ['<b>'] } })
})

t.test(
  'with Last-Event-ID a client gets what it has missed, and all of it when versions began again',
  async t => {
    const storage = new MemoryFlagStorage()
    for (const name of ['a', 'b', 'c']) await storage.upsert({ name })
    await storage.delete('b')
    const { app } = await listening(t, storage)
    const missed = async (id: string) => {
      const events = await readEvents(app, { 'last-event-id': id })
      const event = await events.next()
      events.abort()
      return event
    }
    const after2 = await missed('2')
    t.match(after2, { event: 'change', id: '4', data: { complete: false, gone: ['b'] } })
    t.same(
      after2.data?.flags?.map(({ name }) => name),
      ['c'],
    )
    t.match(await missed('4'), { event: 'ready', id: '4' })
    t.match(await missed('999'), { event: 'change', id: '4', data: { complete: true } })
    await storage.purge('c')
    t.match(await missed('4'), { event: 'change', id: '5', data: { complete: true } })
    for (const id of ['x', '-1', '1.5', '1 or 1=1', '9'.repeat(40)]) {
      const answer = await app.inject({ url: '/flags/events', headers: { 'last-event-id': id } })
      t.match(answer, { statusCode: 400 }, id)
      t.equal(answer.json().code, 'SQLA_ERR_FLAG_REQUEST')
    }
  },
)

t.test('what changes while a client is told what it has missed reaches it, once', async t => {
  const storage = new MemoryFlagStorage()
  await storage.upsert({ name: 'a' })
  const { app } = await listening(t, storage)
  const read = storage.changesSince.bind(storage)
  let isSlow = true
  storage.changesSince = async version => {
    const changes = await read(version)
    if (version === 0 && isSlow) {
      isSlow = false
      await storage.upsert({ name: 'b' })
      await until(() => app.flags.flags().has('b'))
    }
    return changes
  }
  const events = await readEvents(app, { 'last-event-id': '0' })
  t.match(await events.next(), { event: 'change', id: '1', data: { flags: [{ name: 'a' }] } })
  t.match(await events.next(), { event: 'ready', id: '1' })
  t.match(await events.next(), { event: 'change', id: '2', data: { flags: [{ name: 'b' }] } })
  await storage.upsert({ name: 'c' })
  t.match(await events.next(), { id: '3', data: { flags: [{ name: 'c' }] } })
})

t.test(
  'when the storage cannot be asked, a client that comes again gets what this process knows',
  async t => {
    const storage = new MemoryFlagStorage()
    await storage.upsert({ name: 'a' })
    const { app } = await listening(t, storage)
    storage.changesSince = async () => Promise.reject(new Error('down'))
    const events = await readEvents(app, { 'last-event-id': '0' })
    t.match(await events.next(), { event: 'change', data: { complete: true, flags: [{ name: 'a' }] } })
  },
)

t.test('what it is told that it has missed, it is not told again as news', async t => {
  const storage = new MemoryFlagStorage()
  await storage.upsert({ name: 'a' })
  const { app } = await listening(t, storage)
  const read = storage.changesSince.bind(storage)
  storage.changesSince = async version => {
    if (version === 0) {
      await storage.upsert({ name: 'b' })
      await until(() => app.flags.flags().has('b'))
    }
    return read(version)
  }
  const events = await readEvents(app, { 'last-event-id': '0' })
  t.match(await events.next(), { event: 'change', id: '2', data: { flags: [{ name: 'a' }, { name: 'b' }] } })
  t.match(await events.next(), { event: 'ready', id: '2' })
  await storage.upsert({ name: 'c' })
  t.match(await events.next(), { event: 'change', id: '3' })
})

t.test('a client that goes while it is told what it has missed leaves nothing behind', async t => {
  const storage = new MemoryFlagStorage()
  const { app, listeners } = await listening(t, storage)
  const read = storage.changesSince.bind(storage)
  storage.changesSince = async version => {
    await sleep(50)
    return read(version)
  }
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('GET /flags/events HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 0\r\n\r\n')
  t.ok(await until(() => listeners() === 1))
  socket.destroy()
  t.ok(await until(() => listeners() === 0))
})

t.test('a stream that a hook of the application replaces leaves nothing behind', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onSend', async () => {
    throw new Error('no')
  })
  await app.register(flags, { storage: new MemoryFlagStorage() })
  await app.register(flagsApi, { prefix: '/flags', authorize: 'none' })
  await app.ready()
  let ends = 0
  app.flags.onChange = () => () => void ends++
  t.equal((await app.inject('/flags/events')).statusCode, 500)
  t.ok(await until(() => ends === 1))
})

t.test('a silent stream shows signs of life', async t => {
  const { app } = await listening(t, new MemoryFlagStorage())
  const events = await readEvents(app)
  t.ok(await until(() => events.comments() >= 2))
})

t.test('however many clients come and go, there is one listener, and none in the end', async t => {
  const { app, listeners } = await listening(t, new MemoryFlagStorage())
  t.equal(listeners(), 0)
  const many = await Promise.all(Array.from({ length: 20 }, () => readEvents(app)))
  t.equal(listeners(), 1)
  for (const events of many) events.abort()
  t.ok(await until(() => listeners() === 0), 'nothing is left of them')
  const again = await readEvents(app)
  t.equal(listeners(), 1)
  again.abort()
  t.ok(await until(() => listeners() === 0))
  t.equal(
    (await app.inject({ method: 'HEAD', url: '/flags/events' })).statusCode,
    404,
    'HEAD opens no stream',
  )
  t.equal(listeners(), 0)
})

t.test('app.close() ends the streams at once', async t => {
  const { app, listeners } = await listening(t, new MemoryFlagStorage())
  const events = await readEvents(app)
  await events.next()
  const started = Date.now()
  await app.close()
  t.ok(Date.now() - started < 400, `within ${Date.now() - started} ms`)
  t.equal(await events.ended, 'end', 'properly, so that the client comes again')
  t.equal(listeners(), 0)
})

t.test('app.close() while a client is told what it has missed ends that stream, too', async t => {
  const storage = new MemoryFlagStorage()
  const { app, listeners } = await listening(t, storage)
  const read = storage.changesSince.bind(storage)
  storage.changesSince = async version => {
    await sleep(50)
    return read(version)
  }
  const opened = readEvents(app, { 'last-event-id': '0' })
  t.ok(await until(() => listeners() === 1))
  const closed = app.close()
  t.equal(await (await opened).ended, 'end')
  await closed
  t.equal(listeners(), 0)
})

t.test('a client that does not read cannot hold up app.close(), nor fill the memory', async t => {
  const storage = new MemoryFlagStorage()
  const { app, listeners } = await listening(t, storage)
  const { port } = app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.pause()
  socket.write('GET /flags/events HTTP/1.1\r\nHost: a\r\n\r\n')
  t.ok(await until(() => listeners() === 1))
  const description = 'x'.repeat(9_900)
  // The system's buffers take some megabytes first.
  for (let at = 0; at < 3_000 && listeners() > 0; at++) {
    await storage.upsert({ name: `flag-${at}`, description })
    await setImmediate()
  }
  t.equal(listeners(), 0, 'it was cut off')
  socket.destroy()

  // More than these buffers hold, so that the end waits behind it.
  for (let at = 0; at < 2_000; at++) await storage.upsert({ name: `more-${at}`, description })
  const other = connect(port, '127.0.0.1')
  other.on('error', () => {})
  await once(other, 'connect')
  other.pause()
  other.write('GET /flags/events HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 0\r\n\r\n')
  t.ok(await until(() => listeners() === 1))
  await sleep(150) // It is being sent.
  const started = Date.now()
  await app.close()
  const took = Date.now() - started
  t.ok(took > 400 && took < 1_500, `it had its time: ${took} ms`)
  other.destroy()
})
