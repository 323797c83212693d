// fastify-sqlassist, used as its README says.
import { serveNotes } from './notes-app.ts'

await serveNotes()
