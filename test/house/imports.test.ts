import { readFile } from 'node:fs/promises'
import { join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import * as face from '../../src/index.ts'
import { sourceFiles } from './source-files.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** file → the files of this repo that it imports, types included. */
async function importsOf(folder: string): Promise<Map<string, string[]>> {
  const imports = new Map<string, string[]>()
  for (const file of await sourceFiles(join(root, folder))) {
    const text = await readFile(file, 'utf8')
    const found = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(match =>
      normalize(relative(root, join(file, '..', match[1] ?? ''))),
    )
    imports.set(relative(root, file), found)
  }
  return imports
}

/** The ground floor first; a file imports from its own floor and from those below. */
const FLOORS = ['ground', 'engines', 'transactions', 'sessions', 'lifecycle', 'plugin.ts', 'index.ts']

function floorOf(file: string): number {
  const [, first = ''] = file.split('/')
  return Math.max(FLOORS.indexOf(first), 0)
}

t.test('the core knows no plugin, command or example', async t => {
  for (const [file, imports] of await importsOf('src')) {
    t.same(
      imports.filter(target => !target.startsWith('src/')),
      [],
      file,
    )
  }
})

t.test('inside the core the arrows run one way', async t => {
  for (const [file, imports] of await importsOf('src')) {
    t.same(
      imports.filter(target => floorOf(target) > floorOf(file)),
      [],
      file,
    )
  }
})

t.test(
  "a plugin imports the core's public face and its own files, those with pages what pages share, and nothing else of this repo",
  async t => {
    for (const [file, imports] of await importsOf('plugins')) {
      const own = file.split('/').slice(0, 2).join('/')
      const hasPages = own === 'plugins/flags' || own === 'plugins/toolbar'
      const strangers = imports.filter(
        target =>
          !target.startsWith(`${own}/`) &&
          target !== 'src/index.ts' &&
          !(hasPages && target.startsWith('plugins/web/')),
      )
      t.same(strangers, [], file)
    }
  },
)

t.test('the public face is an explicit list', async t => {
  const index = await readFile(join(root, 'src/index.ts'), 'utf8')
  t.notMatch(index, /export \*/)
  t.same(Object.keys(face).sort(), [
    'Refresher',
    'afterCommit',
    'default',
    'defineErrors',
    'errorTable',
    'errors',
    'isServerFailure',
    'listen',
    'observe',
    'patiently',
    'redact',
    'requestOf',
    'runOn',
    'sessionOf',
    'sqlAssist',
    'substitutePool',
    'tokensOf',
  ])
  t.equal(face.default, face.sqlAssist)
})

t.test('no error without a code is thrown at users', async t => {
  for (const folder of ['src', 'plugins']) {
    for (const file of await sourceFiles(join(root, folder))) {
      const text = await readFile(file, 'utf8')
      t.notMatch(text, /throw new (Error|TypeError|RangeError)\(/, relative(root, file))
    }
  }
})
