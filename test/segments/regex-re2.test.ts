import { readFileSync } from 'node:fs'
import t from 'tap'
import { PythonRegex } from '../../plugins/segments/python-regex/regex.ts'

// There is no RE2 here. What is written for it is so plain that it can be read as JavaScript, character by character, and
// whatever is not plain fails this test.

const CASES = JSON.parse(
  readFileSync(new URL('../fixtures/segments/regex-verdicts.json', import.meta.url), 'utf8'),
) as [pattern: string, texts?: string[], verdicts?: string][]

/** Each token of RE2 that is ever written, and the same in JavaScript. */
const TOKENS: readonly (readonly [RegExp, (token: string) => string])[] = [
  [/^\\x\{[0-9a-f]{1,6}\}/, token => `\\u${token.slice(2)}`],
  [/^\(\?m:\^\)/, () => '(?:^|(?<=\\n))'],
  [/^\(\?m:\$\)/, () => '(?=\\n|$)'],
  [/^\\A/, () => '^'],
  [/^\\z/, () => '$'],
  [/^\\[bB]/, token => token],
  [/^\\[!-~]/, token => ('^$\\.*+?()[]{}|/'.includes(token.charAt(1)) ? token : token.charAt(1))],
  [/^\[\^?/, token => token],
  [/^(\(\?:|[)|*+?\]^-]|\{\d{1,4}(,\d{0,4})?\})/, token => token],
  [/^[a-zA-Z0-9_ ]/, token => token],
]

function asJavascript(re2: string): RegExp {
  let text = ''
  for (let rest = re2; rest !== ''; ) {
    const token = TOKENS.find(([pattern]) => pattern.test(rest))
    const taken = token?.[0].exec(rest)?.[0]
    if (!token || !taken) throw new Error(`not plain: ${rest.slice(0, 50)}`)
    text += token[1](taken)
    rest = rest.slice(taken.length)
  }
  return new RegExp(text, 'u')
}

t.test('what is written for RE2 has the verdicts of Python', async t => {
  const wrong: unknown[] = []
  let count = 0
  for (const [pattern, texts, verdicts] of CASES) {
    if (texts === undefined || ['(?t)a', '\\N{DIGIT ONE}'].includes(pattern)) continue
    const emitted = PythonRegex.parse(pattern).toRe2()
    if ('declined' in emitted) continue
    const regex = asJavascript(emitted.regex)
    for (const [i, text] of texts.entries()) {
      count++
      if (regex.test(text) !== (verdicts?.[i] === '1'))
        wrong.push([pattern, text, verdicts?.[i], emitted.regex])
    }
  }
  t.strictSame(wrong, [])
  t.ok(count > 10_000, `${count} verdicts`)
})
