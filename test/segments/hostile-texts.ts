import { isStorable } from '../../plugins/segments/literals.ts'
import type { Condition, Identity, SegmentContext } from '../../plugins/segments/segment.ts'

// Texts that break out of SQL, or that a driver takes for something else, wherever a segment has a text.

export const HOSTILE_TEXTS = [
  ...["'", "''", '"', '\\', '\\\\', "\\'", "\\\\'", "'; drop table canary; --", "\\'; drop table canary; --"],
  ...[
    "' or true --",
    "') or (true",
    "'/*",
    '*/',
    '--',
    '/* x */',
    ';',
    '$$',
    '$$; drop table canary; $$',
    '$a$',
  ],
  ...[
    '$1',
    '$2::text',
    '?',
    '??',
    '\\?',
    ':name',
    '::text',
    '@p',
    '%',
    '%%',
    '%s',
    '%(p0)s',
    '%(p0',
    '{p0:String}',
  ],
  ...[
    "E'\\x27'",
    "U&'\\0027'",
    '\\x27',
    '\\047',
    '\\u0027',
    '\u02bc',
    '\uff07',
    '`',
    '#',
    'new\nline',
    '\r',
    '\t',
    '\b',
  ],
  ...[
    '\0',
    "a\0'",
    '\ud800',
    "\udc00'",
    'a\ud83d',
    '{"a":1}',
    '{a,b}',
    '{}',
    '[]',
    '","',
    '\\"',
    'null',
    '\u2028',
    '\ufeff',
  ],
]

/** Each of them is the name of a trait and its value, an identifier and a key. */
export const HOSTILE_IDENTITIES: readonly Identity[] = HOSTILE_TEXTS.filter(isStorable).map(
  (text, index, all) => ({
    identifier: text,
    key: index % 2 === 0 ? null : text,
    traits: { [text]: text, t: text, u: all[(index + 1) % all.length] as string },
  }),
)

const OPERATORS = [
  ...([
    'EQUAL',
    'NOT_EQUAL',
    'LESS_THAN',
    'GREATER_THAN_INCLUSIVE',
    'CONTAINS',
    'NOT_CONTAINS',
    'IN',
    'MODULO',
  ] as const),
  ...(['PERCENTAGE_SPLIT', 'IS_SET'] as const),
]

/** Each of them as an operand, a property, a path, a list and the key of a segment. */
export const HOSTILE_SEGMENTS: readonly SegmentContext[] = HOSTILE_TEXTS.flatMap(text => [
  ...OPERATORS.map(operator => segmentOf(text, { property: 't', operator, value: text })),
  ...(['EQUAL', 'IS_SET', 'CONTAINS'] as const).map(operator =>
    segmentOf('seg', { property: text, operator, value: text }),
  ),
  segmentOf('seg', { property: 't', operator: 'IN', value: [text, "a'b", '1'] }),
  segmentOf(text, { property: 't', operator: 'PERCENTAGE_SPLIT', value: '50' }),
  segmentOf(text, { property: '', operator: 'PERCENTAGE_SPLIT', value: '50' }),
  segmentOf('seg', { property: '$.identity.identifier', operator: 'EQUAL', value: text }),
  segmentOf('seg', { property: '$.identity.key', operator: 'EQUAL', value: `e_${text}` }),
  segmentOf('seg', {
    property: `$.identity.traits[${JSON.stringify(text)}]`,
    operator: 'EQUAL',
    value: text,
  }),
  segmentOf('seg', { property: 't', operator: 'REGEX', value: text.replace(/[\\?*+.()[\]{}^$|]/g, '\\$&') }),
])

function segmentOf(key: string, condition: Condition): SegmentContext {
  return { key, name: key, rules: [{ type: 'ALL', conditions: [condition] }] }
}
