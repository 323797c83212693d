import t from 'tap'
import { PythonRegex, PythonRegexError } from '../../plugins/segments/python-regex/regex.ts'

const postgres = (pattern: string) => PythonRegex.parse(pattern).toPostgres()
const re2 = (pattern: string) => PythonRegex.parse(pattern).toRe2()

t.test('plain patterns stay plain', async t => {
  t.strictSame(postgres('abc'), { regex: '^abc' })
  t.strictSame(postgres('^(?P<n>ab|cd)+$'), { regex: '^(?:ab|cd)+\\u000a?$' })
  t.strictSame(postgres('a|b'), { regex: '^[ab]' })
  t.strictSame(postgres('.*?x{2,3}'), { regex: '^[^\\u000a]*x{2,3}' })
  t.strictSame(postgres("it's 100%"), { regex: "^it\\'s 100\\%" })
  t.strictSame(re2('a|b'), { regex: '^[ab]' })
  t.strictSame(re2('^(?P<n>ab|cd)+$'), { regex: '^(?:ab|cd)+\\x{a}?\\z' })
})

t.test('case is written out: no locale has a say', async t => {
  t.strictSame(postgres('(?i)k1'), { regex: '^[Kk\\u212a]1' })
  t.strictSame(postgres('(?ai)k1'), { regex: '^[Kk]1' })
  t.strictSame(postgres('(?i:a)b'), { regex: '^[Aa]b' })
  t.strictSame(re2('(?i)s'), { regex: '^[Ss\\x{17f}]' })
})

t.test('assertions that the neighbours answer are left out', async t => {
  t.strictSame(postgres('(?a)\\bfoo\\b'), { regex: '^foo(?:[^0-9A-Z_a-z]|$)' })
  t.strictSame(re2('(?a)\\bfoo\\b bar\\Z'), { regex: '^foo bar\\z' })
  t.strictSame(re2('\\d++-'), re2('\\d+-'))
  t.strictSame(re2('foo(?=bar)'), { regex: '^foobar' })
  t.strictSame(re2('foo(?!b)'), { regex: '^foo(?:[^b]|\\z)' })
})

t.test('what an engine has not is declined, with the reason', async t => {
  t.strictSame(postgres('(?>a|ab)c'), { declined: 'an atomic group or a possessive repeat' })
  t.strictSame(postgres('(a)?(?(1)b|c)'), { declined: 'a condition on a group' })
  t.strictSame(postgres('(?:(a)|b)\\1'), {
    declined: 'a reference to a group that may not have matched',
  })
  t.strictSame(re2('(a)\\1'), { declined: 'a reference to a group' })
  t.strictSame(re2('(?=.*a)b'), { declined: 'a lookahead' })
  t.strictSame(postgres('(?:[a-z]?[0-9]?){500}x'), { declined: 'it would become too complex' })
  t.strictSame(re2('(?:x{100}){11}'), { declined: 'repeats of more than 1,000 rounds' })
})

t.test('counts beyond what the engine takes are written in parts', async t => {
  t.strictSame(postgres('a{300}'), { regex: '^a{255}a{45}' })
  t.strictSame(postgres('a{2,300}'), { regex: '^a{2}(?:a{0,255}|a{255}a{0,43})' })
  t.strictSame(postgres('a{300,}'), { regex: '^a{255}a{45}a*' })
})

t.test('here: undefined where JavaScript cannot tell', async t => {
  t.equal(PythonRegex.parse('(a)?(?(1)b|c)').test('ab'), undefined)
  t.equal(PythonRegex.parse('(?i)(a)\\1').test('aA'), undefined)
  t.equal(PythonRegex.parse('(?>(?:|a)*)b').test('ab'), undefined)
  t.equal(PythonRegex.parse('(?:a+b?)*c').test('a'.repeat(20)), false)
})

t.test('lines and lookarounds, for the engines that have them', async t => {
  const lines = PythonRegex.parse('(?m)(?:a|\\n)*^b')
  t.match(lines.toPostgres(), { regex: '(?:^|(?<=\\n))b' })
  for (const text of ['b', '\nb', 'a\nb']) t.equal(lines.test(text), true)
  t.equal(lines.test('ab'), false)
  t.equal(PythonRegex.parse('(?<=(?>ab|ac$))').test('ab'), undefined, 'an atomic group in a lookbehind')
  t.equal(PythonRegex.parse('ab(?<=ab)(?>c|cd)e').test('abce'), true, 'and one after it')
})

t.test('the same pattern can be asked again', async t => {
  const regex = PythonRegex.parse('a')
  t.equal(regex.pattern, 'a')
  for (const text of ['a', 'ab', 'a']) t.equal(regex.test(text), true)
  t.equal(regex.test('ba'), false)
})

t.test('errors say where', async t => {
  for (const [pattern, message, position] of [
    ['a**', 'multiple repeat', 2],
    ['a(b', 'missing ), unterminated subpattern', 1],
    ['ab)', 'unbalanced parenthesis', 2],
    ['é\\q', 'bad escape \\q', 1],
    ['[b-a]', 'bad character range b-a', 1],
    ['(?<=a+)b', 'look-behind requires fixed-width pattern', 0],
    ['a\\', 'bad escape (end of pattern)', 1],
  ] as const) {
    try {
      PythonRegex.parse(pattern)
      t.fail(pattern)
    } catch (error) {
      t.ok(error instanceof PythonRegexError)
      t.match(error, { message, position }, pattern)
    }
  }
})

t.test('huge patterns are refused, at once', async t => {
  const begins = performance.now()
  for (const pattern of [
    'a'.repeat(10_001),
    '\\w'.repeat(500_000),
    '('.repeat(101) + ')'.repeat(101),
    '('.repeat(9_999),
    '(?='.repeat(3_000),
    '(?(1)'.repeat(2_000),
  ]) {
    t.throws(() => PythonRegex.parse(pattern), { name: 'PythonRegexError' }, pattern.slice(0, 10))
  }
  t.ok(performance.now() - begins < 2_000)
})

t.test('large ones that are not refused are declined rather than sent', async t => {
  for (const pattern of ['\\w'.repeat(5_000), `(?i)${'\\s\\w'.repeat(2_000)}`]) {
    t.ok('declined' in postgres(pattern))
    t.ok('declined' in re2(pattern))
  }
})
