import { DriverException } from '@mikro-orm/core'
import t from 'tap'
import { isPassing } from '../../plugins/events/passing-errors.ts'

const error = (fields: object, message = 'x'): Error => Object.assign(new Error(message), fields)

t.test('what a database says when the same thing may succeed later', async t => {
  for (const passing of [
    error({ code: '40001' }),
    error({ code: '40P01' }),
    error({ code: '57P01' }),
    error({ code: '08006' }),
    error({ code: '53300' }),
    error({ code: 'ECONNREFUSED' }),
    error({ code: 'ER_LOCK_DEADLOCK', sqlState: '40001' }),
    error({ code: 'SQLITE_BUSY' }),
    error({ code: 'SQLA_ERR_POOL_TIMEOUT' }),
    error({}, 'Connection terminated unexpectedly'),
    error({}, 'timeout expired'),
    new DriverException(error({ code: '40P01' })),
    error({ code: 'MINE', cause: error({ cause: error({ code: '40001' }) }) }),
  ]) {
    t.ok(isPassing(passing), String((passing as { code?: string }).code))
  }
})

t.test('what does not go away by itself', async t => {
  for (const lasting of [
    error({ code: '23505' }),
    error({ code: '42P01' }),
    error({ code: '57014' }),
    error({ code: 'ERR_INVALID_ARG_TYPE' }),
    error({ code: 'MINE' }, 'Connection terminated unexpectedly'),
    error({}),
    new RangeError('13 brings bad luck'),
    'connection terminated',
    undefined,
    null,
    7,
  ]) {
    t.notOk(isPassing(lasting), String(lasting))
  }
  const circular = error({})
  circular.cause = circular
  t.notOk(isPassing(circular))
})
