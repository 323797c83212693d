import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import type { SegmentsMessage } from '../../plugins/segments/index.ts'
import { appOn, onPostgres, where } from './segments-app.ts'

// What is told on the channel `sqlassist:segments`.

const SEGMENTS = [
  where('plan', 'EQUAL', 'pro', 'pro'),
  where('plan', 'EQUAL', 'free', 'free'),
  where('plan', 'IS_SET', null, 'somebody'),
]

/** Hears the channel until `t` ends. */
function hear(t: Test): SegmentsMessage[] {
  const heard: SegmentsMessage[] = []
  const listener = (message: unknown) => heard.push(message as SegmentsMessage)
  subscribe('sqlassist:segments', listener)
  t.teardown(() => unsubscribe('sqlassist:segments', listener))
  return heard
}

await onPostgres(t, async (t, backend) => {
  t.test('the segments of a request are told when they are found out', async t => {
    let determined = 0
    let request: unknown
    const { app } = await appOn(t, backend, {
      segments: SEGMENTS,
      identity: ({ headers }: FastifyRequest) => {
        determined++
        return { identifier: 'ada', traits: { plan: String(headers['x-plan']), secret: 'pw-4711' } }
      },
      routes(app) {
        app.get('/keys', async req => {
          request = req
          return req.segments.keys()
        })
        app.get('/one-by-one', async ({ segments }) => [
          segments.isIn('free'),
          segments.isIn('pro'),
          segments.isIn('somebody'),
          segments.isIn('pro', segments.identity),
        ])
        app.get('/others', async ({ segments }) => [
          segments.isIn('free', { identifier: 'bob', traits: { plan: 'free' } }),
          segments.keys({ identifier: 'bob', traits: { plan: 'free' } }),
        ])
        app.get('/own-and-others', async ({ segments }) => [
          segments.isIn('pro'),
          segments.isIn('free', { identifier: 'bob', traits: { plan: 'free' } }),
          segments.keys({ identifier: 'bob', traits: { plan: 'free' } }),
        ])
      },
    })
    const heard = hear(t)
    const get = (url: string) => app.inject({ url, headers: { 'x-plan': 'pro' } })
    t.same((await get('/keys')).json(), ['pro', 'somebody'])
    t.equal(heard.length, 1)
    t.equal(heard[0]?.source, app.sqlAssist)
    t.equal(heard[0]?.request, request)
    t.same(heard[0]?.keys, ['pro', 'somebody'])
    t.same(Object.keys(heard[0] ?? {}), ['source', 'request', 'keys'])
    heard.length = 0
    t.same((await get('/one-by-one')).json(), [false, true, true, true])
    t.same(
      heard.map(({ keys }) => keys),
      [[], ['pro'], ['pro', 'somebody'], ['pro', 'somebody']],
      'each tells what has been found so far',
    )
    heard.length = 0
    determined = 0
    t.same((await get('/others')).json(), [true, ['free', 'somebody']])
    t.same(heard, [], 'those of others are no matter of the request')
    t.equal(determined, 0, 'who sends it is not looked for to tell so')
    t.same((await get('/own-and-others')).json(), [true, true, ['free', 'somebody']])
    t.same(
      heard.map(({ keys }) => keys),
      [['pro']],
      'nor when he is known',
    )
  })
})
