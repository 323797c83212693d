// fastify-sqlassist as it would be without diagnostics channels.
import { answeredQuestions } from '../lib/without-diagnostics.ts'

// Only now: what is imported above is loaded before any line runs.
const { serveNotes } = await import('./notes-app.ts')
if (answeredQuestions() < 20) throw new Error('the questions for listeners were not found in dist')
await serveNotes()
