// Many rows, and their keys alone: what an INSERT by hand gives back, too.
import { serveRepository } from './rows-repository.ts'

await serveRepository(async (rows, data) => {
  const keys = await rows.addMany(data, { returning: 'keys' })
  return { count: keys.length, lastId: keys.at(-1) }
})
