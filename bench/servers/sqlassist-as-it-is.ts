// fastify-sqlassist, loaded through a hook as its rival without diagnostics is, that changes nothing.
import { registerHooks } from 'node:module'

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (!/\/dist\/(?:src|plugins)\//.test(url) || !url.endsWith('.js')) return loaded
    return { ...loaded, source: String(loaded.source) }
  },
})
const { serveNotes } = await import('./notes-app.ts')
await serveNotes()
