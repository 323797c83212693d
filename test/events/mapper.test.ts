import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Aggregate } from '../../plugins/events/aggregate.ts'
import { aesGcm } from '../../plugins/events/cipher.ts'
import { brotli, deflate } from '../../plugins/events/compressor.ts'
import type { DomainEvent } from '../../plugins/events/domain-event.ts'
import { Mapper, type MapperOptions } from '../../plugins/events/mapper.ts'
import type { StoredEvent } from '../../plugins/events/stored-event.ts'
import { EventTopics } from '../../plugins/events/topics.ts'
import { Dog } from './dogs.ts'

const topics = new EventTopics([Dog])
const key = Buffer.alloc(32, 7)
const cipher = aesGcm({ keys: { one: key }, current: 'one' })
const id = Dog.idOf('Fido')
const secret = 'the dog bites'

function event(data: unknown, overrides: Partial<DomainEvent> = {}): DomainEvent {
  return {
    originatorId: id,
    originatorVersion: 7,
    topic: 'Dog.Registered',
    timestamp: new Date('2026-01-31T12:00:00.123Z'),
    data,
    ...overrides,
  }
}

function stateOf(text: string): StoredEvent {
  return { originatorId: id, originatorVersion: 7, topic: 'Dog.Registered', state: Buffer.from(text) }
}

t.test('a state is JSON that others can read', async t => {
  const stored = new Mapper(topics).toStored(event({ name: 'Fido', born: new Date(0) }))
  t.match(stored, { originatorId: id, originatorVersion: 7, topic: 'Dog.Registered' })
  t.strictSame(JSON.parse(Buffer.from(stored.state).toString()), {
    data: { name: 'Fido', born: { _type_: 'date', _data_: '1970-01-01T00:00:00.000Z' } },
    timestamp: '2026-01-31T12:00:00.123Z',
    version: 1,
  })
})

const pipelines: Record<string, MapperOptions> = {
  plain: {},
  deflated: { compressor: deflate({ minimum: 0 }) },
  'compressed by Brotli': { compressor: brotli({ minimum: 0 }) },
  encrypted: { cipher },
  'compressed and encrypted': { compressor: deflate(), cipher },
}
for (const [name, options] of Object.entries(pipelines)) {
  t.test(`events come back as they were: ${name}`, async t => {
    const mapper = new Mapper(topics, options)
    const plain = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withNullPrototype: false,
    })
    const storable = plain.map(
      data => new Mapper(topics).toDomain(new Mapper(topics).toStored(event(data))).data,
    )
    fc.assert(
      fc.property(storable, data => {
        deepStrictEqual(mapper.toDomain(mapper.toStored(event(data))), event(data))
      }),
      { numRuns: 200 },
    )
    t.strictSame(mapper.toDomain(mapper.toStored(event(undefined))), event(undefined))
    t.strictSame(
      mapper.toDomain(mapper.toStored(event({ text: 'x'.repeat(100_000) }))),
      event({ text: 'x'.repeat(100_000) }),
    )
  })

  t.test(`a state that is a part of another kind of array can be read: ${name}`, async t => {
    const mapper = new Mapper(topics, options)
    const stored = mapper.toStored(event({ name: 'Fido' }))
    const around = new Uint8Array(stored.state.length + 8)
    around.set(stored.state, 4)
    const state = around.subarray(4, 4 + stored.state.length)
    t.strictSame(mapper.toDomain({ ...stored, state }), event({ name: 'Fido' }))
  })
}

t.test('events of a topic that nobody knows are read as they are', async t => {
  const other = event({ a: new Date(0) }, { topic: 'Cat.Born' })
  const mapper = new Mapper(new EventTopics([]))
  t.strictSame(mapper.toDomain(mapper.toStored(other)), other)
  t.strictSame(new Mapper(topics).toDomain(mapper.toStored(other)), other)
})

t.test('what cannot be stored is named with its topic and path', async t => {
  const mapper = new Mapper(topics)
  t.throws(() => mapper.toStored(event({ tricks: [() => {}] })), {
    code: 'SQLA_ERR_EVENT_NOT_STORABLE',
    message: /'Dog\.Registered'.* data\.tricks\[0\] is a function/,
  })
  t.throws(() => mapper.toStored(event({}, { timestamp: new Date(Number.NaN) })), {
    code: 'SQLA_ERR_EVENT_NOT_STORABLE',
    message: /timestamp/,
  })
  const cause = new RangeError('no')
  const failing = {
    name: 'regexp',
    is: (value: unknown) => value instanceof RegExp,
    encode: () => {
      throw cause
    },
    decode: () => /x/,
  } as never
  t.throws(() => new Mapper(topics, { transcodings: [failing] }).toStored(event(/x/)), {
    code: 'SQLA_ERR_EVENT_NOT_STORABLE',
    cause,
  })
})

/** Neither the message nor what has caused it says anything of the data or the keys. */
function tells(error: unknown): boolean {
  const words: string[] = []
  for (let at = error; at instanceof Error; at = at.cause) words.push(at.message, String(at.stack))
  return words.some(
    word => word.includes(secret) || word.includes('bites') || word.includes(key.toString('base64')),
  )
}

/** That it is refused, with the right code and without the secret. */
function refused(t: Test, mapper: Mapper, stored: StoredEvent, name: string): void {
  try {
    mapper.toDomain(stored)
    t.fail(`${name}: it has been read`)
  } catch (error) {
    const message = new RegExp(
      `^Version ${stored.originatorVersion} of ${stored.originatorId} cannot be read: `,
    )
    t.match(error, { code: 'SQLA_ERR_EVENT_UNREADABLE', message }, name)
    t.notOk(tells(error), `${name}: it tells nothing`)
  }
}

t.test('a state that is damaged says so, and nothing about what is in it', async t => {
  const mapper = new Mapper(topics)
  const whole = Buffer.from(mapper.toStored(event({ name: secret })).state).toString()
  for (const text of [
    '',
    'null',
    '[]',
    '7',
    '{}',
    secret,
    whole.slice(0, -5),
    whole.slice(1),
    `{"data":${secret}`,
    '{"data":1,"version":1}',
    '{"data":1,"version":1,"timestamp":"yesterday"}',
    '{"data":1,"version":1,"timestamp":7}',
    '{"data":1,"timestamp":"2026-01-31T12:00:00.000Z"}',
    '{"data":{"_type_":"x"},"version":1,"timestamp":"2026-01-31T12:00:00.000Z"}',
    `{"data":{"_type_":"bigint","_data_":"${secret}"},"version":1,"timestamp":"2026-01-31T12:00:00.000Z"}`,
  ]) {
    refused(t, mapper, stateOf(text), text)
  }
})

t.test(
  'an encrypted state is refused when it was moved, changed, cut, or the key is another one',
  async t => {
    const mapper = new Mapper(topics, { cipher })
    const stored = mapper.toStored(event({ name: secret }))
    const { state } = stored
    t.notOk(Buffer.from(state).includes('bites'))

    refused(t, mapper, { ...stored, originatorId: Dog.idOf('Rex') }, 'another aggregate')
    refused(t, mapper, { ...stored, originatorVersion: 8 }, 'another version')
    refused(t, mapper, { ...stored, originatorVersion: 77 }, 'a version that begins alike')
    refused(t, mapper, { ...stored, topic: 'Dog.Barked' }, 'another topic')
    for (let length = 0; length < state.length; length++) {
      refused(t, mapper, { ...stored, state: state.subarray(0, length) }, `${length} bytes of it`)
    }
    for (let bit = 0; bit < state.length * 8; bit++) {
      const flipped = Uint8Array.from(state)
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      refused(t, mapper, { ...stored, state: flipped }, `bit ${bit} of it`)
    }
    refused(t, mapper, { ...stored, state: Buffer.concat([state, Buffer.of(0)]) }, 'a byte more')
    refused(t, mapper, { ...stored, state: Buffer.from(`{"name":"${secret}"}`) }, 'not encrypted at all')
    const otherKey = aesGcm({ keys: { one: Buffer.alloc(32, 8) }, current: 'one' })
    refused(t, new Mapper(topics, { cipher: otherKey }), stored, 'another key of the same id')
    const otherId = aesGcm({ keys: { two: key }, current: 'two' })
    refused(t, new Mapper(topics, { cipher: otherId }), stored, 'the same key of another id')
    t.strictSame(mapper.toDomain(stored), event({ name: secret }))
  },
)

t.test('an encrypted state is read where the database writes the id in lower case', async t => {
  const mapper = new Mapper(topics, { cipher })
  const stored = mapper.toStored(event({ name: 'Fido' }, { originatorId: id.toUpperCase() }))
  t.match(mapper.toDomain({ ...stored, originatorId: id }), { data: { name: 'Fido' } })
})

t.test('a compressed state that is damaged is refused', async t => {
  const mapper = new Mapper(topics, { compressor: deflate({ minimum: 0 }) })
  const stored = mapper.toStored(event({ name: secret.repeat(20) }))
  for (let length = 0; length < stored.state.length; length++) {
    refused(t, mapper, { ...stored, state: stored.state.subarray(0, length) }, `${length} bytes of it`)
  }
})

t.test('data of every shape that an application may have loses nothing', async t => {
  const appliers = { Done: (thing: Thing, data: unknown) => void Object.assign(thing, { data }) }
  class Thing extends Aggregate<typeof appliers> {
    static override readonly appliers = appliers
  }
  const mapper = new Mapper(new EventTopics([Thing]))
  for (const data of [null, 0, -0, '', [], {}, false, 1n, new Date(0), [[], {}], '\ud800', Number.NaN]) {
    const [done] = Thing.create('Done', data).pendingEvents as [DomainEvent]
    t.strictSame(mapper.toDomain(mapper.toStored(done)), done)
  }
})
