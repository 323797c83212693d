// A reader on a standby, without routing: what an application has that reads from a standby and hopes.
import { standbyUrls } from './note.ts'
import { serveNotes } from './notes-app.ts'

await serveNotes({ readerUrl: standbyUrls()[0] })
