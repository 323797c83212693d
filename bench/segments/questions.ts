import type { Condition, SegmentContext } from 'fastify-sqlassist/segments'

/** A segment whose conditions must all hold. */
export function segment(key: string, ...conditions: Condition[]): SegmentContext {
  return { key, name: key, rules: [{ type: 'ALL', conditions }] }
}

export function is(
  property: string,
  operator: Condition['operator'],
  value: Condition['value'] = null,
): Condition {
  return { property, operator, value }
}

/** What all scans are measured against. */
export const EQUAL = segment('EQUAL', is('country', 'EQUAL', 'nz'))

/** A count to scan for. */
export interface Question {
  readonly segment: SegmentContext
  /** How many EQUAL scans it may cost at most. */
  readonly atMost?: number
}

/** Every operator, in each of the forms that are written differently. */
export const QUESTIONS: readonly Question[] = [
  { segment: segment('EQUAL, an integer', is('age', 'EQUAL', '42')) },
  { segment: segment('EQUAL, a float', is('score', 'EQUAL', '42.5')) },
  { segment: segment('EQUAL, a boolean', is('is_active', 'EQUAL', 'true')) },
  { segment: segment('NOT_EQUAL', is('plan', 'NOT_EQUAL', 'free')) },
  { segment: segment('GREATER_THAN, an integer', is('age', 'GREATER_THAN', '80')) },
  { segment: segment('GREATER_THAN_INCLUSIVE, a float', is('score', 'GREATER_THAN_INCLUSIVE', '99.9')) },
  { segment: segment('LESS_THAN, a text', is('signup_date', 'LESS_THAN', '2020-01-03')) },
  { segment: segment('LESS_THAN_INCLUSIVE, an integer', is('logins', 'LESS_THAN_INCLUSIVE', '4')) },
  { segment: segment('IN, five texts', is('country', 'IN', ['nz', 'nl', 'it', 'es', 'id'])) },
  { segment: segment('IN, five integers', is('age', 'IN', ['21', '31', '41', '51', '61'])) },
  { segment: segment('IN, 100 identifiers', is('$.identity.identifier', 'IN', identifiers(100))) },
  { segment: segment('CONTAINS', is('email', 'CONTAINS', '@company-7')) },
  { segment: segment('NOT_CONTAINS', is('email', 'NOT_CONTAINS', '@company')) },
  { segment: segment('REGEX', is('email', 'REGEX', '^user-\\d+7@company-\\d{2}\\.com$')) },
  { segment: segment('IS_SET', is('tags', 'IS_SET')) },
  { segment: segment('IS_NOT_SET', is('company', 'IS_NOT_SET')) },
  { segment: segment('MODULO, an integer', is('logins', 'MODULO', '7|3')), atMost: 2.5 },
  { segment: segment('MODULO, a fraction of a float', is('score', 'MODULO', '2.5|0.5')) },
  { segment: segment('PERCENTAGE_SPLIT of identities', is('', 'PERCENTAGE_SPLIT', '10')), atMost: 2.5 },
  { segment: segment('PERCENTAGE_SPLIT of a trait', is('email', 'PERCENTAGE_SPLIT', '10')), atMost: 2.5 },
  { segment: segment('semver', is('version', 'GREATER_THAN', '4.17.0:semver')), atMost: 2.5 },
  {
    segment: segment('semver, a prerelease', is('version', 'GREATER_THAN_INCLUSIVE', '4.17.0-beta.2:semver')),
  },
  { segment: segment('a rare EQUAL', is('email', 'EQUAL', 'user-4711@gmail.com')) },
  { segment: segment('a rare company', is('company', 'EQUAL', 'Company 7')) },
  {
    segment: segment(
      'three of ALL',
      is('plan', 'EQUAL', 'enterprise'),
      is('country', 'EQUAL', 'nz'),
      is('age', 'LESS_THAN', '30'),
    ),
  },
  {
    segment: {
      key: 'nested rules',
      name: 'nested rules',
      rules: [
        { type: 'ANY', conditions: [is('plan', 'EQUAL', 'pro'), is('score', 'GREATER_THAN', '95.0')] },
        { type: 'NONE', conditions: [is('country', 'EQUAL', 'us'), is('is_active', 'EQUAL', 'false')] },
      ],
    },
  },
]

/** Twenty segments as a product has them, for what asks or keeps many at once. */
export const TWENTY: readonly SegmentContext[] = [
  segment('pro', is('plan', 'EQUAL', 'pro')),
  segment('enterprise', is('plan', 'EQUAL', 'enterprise')),
  segment('paying', is('plan', 'IN', ['pro', 'team', 'enterprise'])),
  segment('not free', is('plan', 'NOT_EQUAL', 'free')),
  segment('adults', is('age', 'GREATER_THAN_INCLUSIVE', '18')),
  segment('retired', is('age', 'GREATER_THAN', '66')),
  segment('young', is('age', 'LESS_THAN', '25'), is('is_active', 'EQUAL', 'true')),
  segment('Europe', is('country', 'IN', ['de', 'fr', 'gb', 'es', 'it', 'nl'])),
  segment('abroad', is('country', 'NOT_EQUAL', 'us')),
  segment('good', is('score', 'GREATER_THAN', '75.0')),
  segment('bad', is('score', 'LESS_THAN', '5.5')),
  segment('new app', is('version', 'GREATER_THAN_INCLUSIVE', '4.0.0:semver')),
  segment('old app', is('version', 'LESS_THAN', '2.0.0:semver')),
  segment('since 2024', is('signup_date', 'GREATER_THAN_INCLUSIVE', '2024-01-01')),
  segment('at a company', is('company', 'IS_SET')),
  segment('no tags', is('tags', 'IS_NOT_SET')),
  segment('at Gmail', is('email', 'CONTAINS', '@gmail.com')),
  segment('newsletter', is('wants_news', 'EQUAL', 'true')),
  segment('a tenth', is('', 'PERCENTAGE_SPLIT', '10')),
  segment('every seventh', is('logins', 'MODULO', '7|3'), is('plan', 'EQUAL', 'free')),
]

function identifiers(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `user-${at * 37}`)
}
