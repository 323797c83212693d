import t from 'tap'
import { ClickHouseDialect, translateSegment } from '../../plugins/segments/index.ts'

// It needs no ClickHouse, so that it runs everywhere: without these parentheses, AND would take only the first part.

t.test('equality with a text, which has two parts, stands in parentheses', t => {
  const segment = {
    key: 's',
    name: 'S',
    rules: [
      {
        type: 'ALL',
        conditions: [
          { property: 'age', operator: 'IS_SET' },
          { property: 'plan', operator: 'EQUAL', value: 'growth' },
        ],
      },
    ],
  } as const
  const evaluationContext = { environment: { key: 'e', name: 'Production' } }
  const where = translateSegment(segment, { evaluationContext, dialect: new ClickHouseDialect() })
  t.match(where?.sql, / and \(ifNull\(.* or ifNull\(.*\)\)\)\)$/)
  t.end()
})
