// fastify-sqlassist that would not know what has become of a COMMIT whose answer gets lost.
import { serveNotes } from './notes-app.ts'

await serveNotes({ asksForWitness: false })
