import { readFile } from 'node:fs/promises'
import t from 'tap'
import { errorTable as command } from '../../bin/errors.ts'
import { errorTable as diagnostics } from '../../plugins/diagnostics/errors.ts'
import { errorTable as embedded } from '../../plugins/embedded/errors.ts'
import { errorTable as events } from '../../plugins/events/errors.ts'
import { errorTable as flags } from '../../plugins/flags/errors.ts'
import { errorTable as migrations } from '../../plugins/migrations/errors.ts'
import { errorTable as repository } from '../../plugins/repository/errors.ts'
import { errorTable as segments } from '../../plugins/segments/errors.ts'
import { errorTable as testing } from '../../plugins/testing/errors.ts'
import { errorTable as toolbar } from '../../plugins/toolbar/errors.ts'
import { defineErrors, type ErrorRow, errors, errorTable } from '../../src/index.ts'

const tables: Record<string, ErrorRow> = {
  ...errorTable,
  ...repository,
  ...migrations,
  ...flags,
  ...segments,
  ...events,
  ...embedded,
  ...diagnostics,
  ...toolbar,
  ...testing,
  ...command,
}
const page = await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8')
const rows = [...page.matchAll(/^\| `(SQLA_ERR_\w+)` \| (\d+) \| (.+) \| (.+) \|$/gm)].map(
  ([, code = '', status, happened = '', solve = '']) => ({ code, status: Number(status), happened, solve }),
)

t.test('every code of the tables has a row in docs/errors.md that says how to solve it', async t => {
  for (const [code, row] of Object.entries(tables)) {
    const documented = rows.find(candidate => candidate.code === code)
    t.ok(documented, `${code} is documented`)
    t.equal(documented?.status, row.statusCode ?? 500, `${code}: the status`)
    t.ok((documented?.happened.length ?? 0) > 20, `${code}: what happened`)
    t.ok((documented?.solve.length ?? 0) > 10, `${code}: how to solve`)
  }
})

t.test('every row of docs/errors.md is a code of a table, once', async t => {
  const codes = rows.map(row => row.code)
  t.same(
    codes.filter(code => !(code in tables)),
    [],
  )
  t.same(codes.length, new Set(codes).size)
})

t.test('an error formats its arguments, keeps its cause and answers with its status', async t => {
  const cause = new Error('why')
  const error = new errors.SQLA_ERR_POOL_TIMEOUT('writer', 250, '2 of 2 in use, 1 waiting', { cause })
  t.equal(error.code, 'SQLA_ERR_POOL_TIMEOUT')
  t.equal(error.statusCode, 503)
  t.equal(error.cause, cause)
  t.equal(
    error.message,
    "No connection of engine 'writer' became free within 250 ms (2 of 2 in use, 1 waiting)",
  )
  t.ok(error instanceof errors.SQLA_ERR_POOL_TIMEOUT)
  t.notOk(error instanceof errors.SQLA_ERR_CLOSED)
  t.ok(new errors.SQLA_ERR_INVALID_OPTION('a', 'b') instanceof TypeError)
  t.equal(new (defineErrors({ SQLA_ERR_X: { message: 'x' } }).SQLA_ERR_X)().statusCode, 500)
})
