import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import type { FastifyReply } from 'fastify'
import t from 'tap'
import { Item, toolbarSite } from './site.ts'

const PAGE = '<!doctype html><html><body><p>é – 日本</p></body></html>'
const BUTTON = /<a id="sqlassist-toolbar-button" href="\/_sqlassist\/requests\/(\d+)"/

const answers: Record<string, (reply: FastifyReply) => unknown> = {
  string: reply => reply.type('text/html').send(PAGE),
  buffer: reply => reply.type('text/html; charset=utf-8').send(Buffer.from(PAGE)),
  latin1: reply => reply.type('text/html; charset=iso-8859-1').send(Buffer.from('<body>é</body>', 'latin1')),
  upper: reply => reply.type('TEXT/HTML').send('<BODY>a</BODY >'),
  length: reply => reply.type('text/html').header('content-length', Buffer.byteLength(PAGE)).send(PAGE),
  failing: reply => reply.code(500).type('text/html').send(PAGE),
  missing: reply => reply.code(404).type('text/html').send(PAGE),
  script: reply => reply.type('text/html').send('<body><script>"</body>"</script></body></html>'),
  json: reply => reply.send({ html: PAGE }),
  jsonText: reply => reply.type('application/json').send(JSON.stringify({ html: PAGE })),
  text: reply => reply.type('text/plain').send(PAGE),
  similar: reply => reply.type('text/html-ish').send(PAGE),
  untyped: reply => reply.send(PAGE),
  fragment: reply => reply.type('text/html').send('<p>a part of a page</p>'),
  stream: reply => reply.type('text/html').send(Readable.from([PAGE])),
  gzip: reply => reply.type('text/html').header('content-encoding', 'gzip').send(gzipSync(PAGE)),
  partial: reply => reply.code(206).type('text/html').header('content-range', 'bytes 0-9/99').send(PAGE),
  unchanged: reply => reply.code(304).type('text/html').send(),
  empty: reply => reply.code(204).type('text/html').send(PAGE),
}

const app = await toolbarSite(t, {}, one => {
  one.get('/html/:name', (request, reply) => answers[(request.params as { name: string }).name]?.(reply))
  one.get('/policy', (_request, reply) =>
    reply.type('text/html').header('content-security-policy', "default-src 'none'").send(PAGE),
  )
  one.get('/items', async (request, reply) => {
    await request.db.writer.find(Item, {})
    await request.db.writer.find(Item, { id: 1 })
    return reply.type('text/html').send(PAGE)
  })
})

t.test('HTML pages get a button, and are otherwise what they were', async t => {
  for (const name of ['string', 'buffer', 'length', 'failing', 'missing']) {
    const { body, headers, rawPayload } = await app.inject(`/html/${name}`)
    const match = /<link rel="stylesheet"[^>]*><a [^>]*>[^<]*<\/a>(?=<\/body>)/.exec(body)
    t.match(body, BUTTON, name)
    t.equal(body.replace(match?.[0] ?? '', ''), PAGE, name)
    t.equal(headers['content-length'], String(rawPayload.length), name)
  }
  const { rawPayload } = await app.inject('/html/latin1')
  t.match(rawPayload.toString('latin1'), /^<body>é<link .*<\/a><\/body>$/)
  t.match((await app.inject('/html/upper')).body, /^<BODY>a<link .*<\/a><\/BODY >$/)
  const { body } = await app.inject('/html/script')
  t.ok(body.startsWith('<body><script>"</body>"</script><link '), 'before the last </body>')
})

t.test('nothing else is changed', async t => {
  const same = [
    'json',
    'jsonText',
    'text',
    'similar',
    'untyped',
    'fragment',
    'stream',
    'gzip',
    'partial',
    'unchanged',
    'empty',
  ]
  for (const name of same) {
    const { body } = await app.inject(`/html/${name}`)
    t.notMatch(body, /sqlassist/, name)
  }
  const { rawPayload } = await app.inject('/html/gzip')
  t.same(rawPayload, gzipSync(PAGE))
  const head = await app.inject({ method: 'HEAD', url: '/html/string' })
  t.equal(head.headers['content-length'], String(Buffer.byteLength(PAGE)))
  t.notMatch((await app.inject('/_sqlassist/')).body, BUTTON, 'nor are its own pages')
})

t.test('the button tells what the request has done so far, and leads to it', async t => {
  const { body } = await app.inject('/items')
  const [, id] = BUTTON.exec(body) ?? []
  t.match(body, /aria-label="SQLAssist toolbar: [\d.]+ ms, 2 statements">[\d.]+ ms, 2 statements<\/a>/)
  const page = await app.inject(`/_sqlassist/requests/${id}`)
  t.equal(page.statusCode, 200)
  t.match(page.body, /\/items/)
})

t.test("it needs neither inline styles nor scripts, and leaves the application's policy alone", async t => {
  const { body, headers } = await app.inject('/policy')
  t.equal(headers['content-security-policy'], "default-src 'none'")
  t.match(body, BUTTON)
  t.notMatch(body, /style=|<style|<script|\son\w+=/)
  const [, href = ''] = /<link rel="stylesheet" href="([^"]+)"/.exec(body) ?? []
  const css = await app.inject(href)
  t.equal(css.statusCode, 200)
  t.match(css.headers['content-type'], 'text/css')
  t.match(css.body, /#sqlassist-toolbar-button/)
})

t.test('whoever may not see the toolbar sees no button', async t => {
  const remote = await app.inject({ url: '/html/string', remoteAddress: '10.0.0.7' })
  t.equal(remote.body, PAGE)
  t.equal((await app.inject({ url: '/html/string', headers: { host: 'evil.example' } })).body, PAGE)
  const without = await toolbarSite(t, { button: false }, one =>
    one.get('/', (_r, reply) => answers.string?.(reply)),
  )
  t.equal((await without.inject('/')).body, PAGE)
})
