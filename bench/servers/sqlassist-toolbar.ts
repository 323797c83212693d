// fastify-sqlassist with its toolbar.
import { serveNotes } from './notes-app.ts'

await serveNotes({ hasToolbar: true })
