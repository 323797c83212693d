// Routing as docs/routing.md says: every client sees what it has written and seen.
import { standbyUrls } from './note.ts'
import { serveNotes } from './notes-app.ts'

await serveNotes({
  standbyUrls: standbyUrls(),
  routing: { token: { secret: 'a secret of the bench, which is none' } },
})
