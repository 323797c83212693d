import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

// Links between the pages of this repository: to files that are there, and to headings that those have.

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The text without what is code. */
function prose(page: string): string {
  return page.replace(/^(`{3,})[\s\S]*?^\1$/gm, '').replace(/(?<!`)(`+)(?!`)[^\n]*?[^`]\1(?!`)/g, '')
}

function linksOf(page: string): string[] {
  return [...prose(page).matchAll(/\]\(((?:[^()\s]|\([^()\s]*\))+)\)/g)].map(([, target = '']) => target)
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of page.replace(/^(`{3,})[\s\S]*?^\1$/gm, '').matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const anchor = text.replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '').replaceAll(' ', '-')
    let unique = anchor
    for (let number = 1; anchors.has(unique); number++) unique = `${anchor}-${number}`
    anchors.add(unique)
  }
  return anchors
}

/** @returns what is wrong with a link of a page; undefined when it leads somewhere */
async function problemOf(page: string, link: string): Promise<string | undefined> {
  if (/^[a-z]+:/.test(link)) return undefined
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? page : normalize(join(dirname(page), decodeURIComponent(path)))
  if (target.startsWith('..') || path.startsWith('/')) return 'leads out of the repository'
  const found = await stat(join(root, target)).catch(() => undefined)
  if (found === undefined) return `there is no ${target}`
  if (anchor === undefined) return undefined
  if (!target.endsWith('.md')) return `${target} has no headings`
  const anchors = anchorsOf(await readFile(join(root, target), 'utf8'))
  return anchors.has(anchor) ? undefined : `${target} has no heading #${anchor}: ${[...anchors].join(' ')}`
}

async function pages(): Promise<string[]> {
  const folders = await Promise.all(
    ['docs', 'examples', 'bench'].map(async folder => {
      const names = await readdir(join(root, folder), { recursive: true })
      return names.filter(name => name.endsWith('.md')).map(name => join(folder, name))
    }),
  )
  return ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...folders.flat()]
}

t.test('every link between the pages leads to a file, and to a heading that it has', async t => {
  let links = 0
  for (const page of await pages()) {
    for (const link of linksOf(await readFile(join(root, page), 'utf8'))) {
      links++
      const problem = await problemOf(page, link)
      if (problem !== undefined) t.fail(`${page}: (${link}) ${problem}`)
    }
  }
  t.ok(links > 150, `${links} links`)
})

t.test('every page of docs/ is in the list of guides', async t => {
  const listed = new Set(linksOf(await readFile(join(root, 'docs/README.md'), 'utf8')))
  for (const page of await readdir(join(root, 'docs'))) {
    if (page.endsWith('.md') && page !== 'README.md') t.ok(listed.has(page), page)
  }
})

t.test('a link that leads nowhere is found, and one in code is none', async t => {
  t.match(await problemOf('docs/routing.md', 'nowhere.md'), 'there is no docs/nowhere.md')
  t.match(await problemOf('docs/routing.md', 'engines.md#nowhere'), 'has no heading #nowhere')
  t.match(await problemOf('docs/routing.md', '#nowhere'), 'docs/routing.md has no heading')
  t.match(await problemOf('README.md', '../elsewhere.md'), 'leads out')
  t.match(await problemOf('docs/routing.md', '../src/index.ts#L3'), 'has no headings')
  t.equal(await problemOf('docs/routing.md', '#failover'), undefined)
  t.equal(await problemOf('docs/transactions.md', 'events-following.md#telling-others-the-outbox'), undefined)
  t.same(linksOf('`[a](b)` [c](d#e)\n```md\n[f](g)\n```\n[h][i] ![j](k_(l).png)'), ['d#e', 'k_(l).png'])
  t.same(
    [...anchorsOf('# What’s *new*?\n## `a.b()` & c\n## Same\n## Same\n```sh\n# no\n```')],
    ['whats-new', 'ab--c', 'same', 'same-1'],
  )
})
