import { readFile } from 'node:fs/promises'
import t from 'tap'
import { pages, runBlocks } from './run-blocks.ts'

// The blocks of README.md and of the guides to the core.

await runBlocks(
  t,
  (await pages()).filter(page => !/flags|segments|events/.test(page)),
)

t.test(
  'the one-line commands of the README are scripts of the package, and CI runs the one for the tests',
  async t => {
    const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
    const { scripts } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
    for (const line of ['npm ci && npm start', 'npm ci && npm test']) {
      t.match(readme, `\`\`\`sh\n${line}\n\`\`\``)
    }
    t.ok(scripts.start && scripts.test)
    t.match(await readFile(new URL('../../.ci/run', import.meta.url), 'utf8'), /^npm ci && npm test$/m)
  },
)
