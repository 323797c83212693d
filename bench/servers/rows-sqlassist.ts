// Many rows, and their entities.
import { serveRepository } from './rows-repository.ts'

await serveRepository(async (rows, data) => {
  const saved = await rows.addMany(data)
  return { count: saved.length, lastId: saved.at(-1)?.id }
})
