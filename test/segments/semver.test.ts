import t from 'tap'
import { compareSemver, parseSemver, type Semver } from '../../plugins/segments/semver.ts'

const parsed = (text: string): Semver => {
  const version = parseSemver(text)
  if (version === undefined) throw new Error(`${text} is no version`)
  return version
}

t.test("SemVer's own order: 11.4 of the specification, and beyond", async t => {
  const ordered = [
    '0.0.0-0',
    '0.0.0',
    '1.0.0-0',
    '1.0.0-9',
    '1.0.0-10',
    '1.0.0-99999999999999999999',
    '1.0.0-100000000000000000000',
    '1.0.0--',
    '1.0.0-0a',
    '1.0.0-A',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.1.0',
    '1.0.0-alpha.beta',
    '1.0.0-beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
    '1.0.1-0',
    '1.9.0',
    '1.10.0',
    '2.0.0',
    '10.0.0',
    '99999999999999999999.0.0',
    '100000000000000000000.0.0',
  ]
  for (const [index, version] of ordered.entries()) {
    for (const [other, otherVersion] of ordered.entries()) {
      const sign = Math.sign(compareSemver(parsed(version), parsed(otherVersion)))
      t.equal(sign, Math.sign(index - other), `${version} and ${otherVersion}`)
    }
  }
})

t.test('builds are equal', async t => {
  t.equal(compareSemver(parsed('1.0.0+a'), parsed('1.0.0+b.001')), 0)
  t.equal(compareSemver(parsed('1.0.0-rc.1+a'), parsed('1.0.0-rc.1')), 0)
})

t.test('what the specification calls valid', async t => {
  for (const text of [
    '0.0.4',
    '1.2.3',
    '1.1.2-prerelease+meta',
    '1.1.2+meta-valid',
    '1.0.0-alpha.0valid',
    '1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay',
    '2.0.0+build.1848',
    '1.0.0-0A.is.legal',
    '1.2.3----RC-SNAPSHOT.12.9.1--.12+788',
    '1.0.0+0.build.1-rc.10000aaa-kk-0.1',
    '99999999999999999999999.999999999999999999.99999999999999999',
  ]) {
    t.not(parseSemver(text), undefined, text)
  }
})

t.test('and what it calls not valid', async t => {
  for (const text of [
    '',
    '1',
    '1.2',
    '1.2.3.4',
    'v1.2.3',
    ' 1.2.3',
    '1.2.3 ',
    '1.2.3\n',
    '01.1.1',
    '1.01.1',
    '1.1.01',
    '1.2.3-',
    '1.2.3-0123',
    '1.2.3-0123.0123',
    '1.2.3-a..b',
    '1.2.3-a.',
    '1.1.2+.123',
    '1.2.3+',
    '1.0.0+a+b',
    '1.0.0-alpha_beta',
    '1.2.3-é',
    '1.٢.3',
    '1٢.2.3',
    '-1.0.3',
    '+invalid',
    '1.2-SNAPSHOT',
    '9.8.7-whatever+meta+meta',
  ]) {
    t.equal(parseSemver(text), undefined, encodeURIComponent(text))
  }
})

t.test('a long text that is none is refused quickly', async t => {
  const started = performance.now()
  t.equal(parseSemver(`1.0.0-${'1'.repeat(100_000)}!`), undefined)
  t.equal(parseSemver(`1.0.0-${'a.'.repeat(50_000)}!`), undefined)
  t.ok(performance.now() - started < 1000)
})
