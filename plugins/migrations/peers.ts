import { errors } from './errors.ts'

// Both packages are optional peers, asked for when they are needed: without them the command still says what it can do.

export const migrationsPackage = (): Promise<typeof import('@mikro-orm/migrations')> =>
  import('@mikro-orm/migrations').catch(error => missing('@mikro-orm/migrations', error))

export const seederPackage = (): Promise<typeof import('@mikro-orm/seeder')> =>
  import('@mikro-orm/seeder').catch(error => missing('@mikro-orm/seeder', error))

function missing(name: string, error: unknown): never {
  // Installed, but something that it imports is not: that is another matter.
  const { code, message } = error as NodeJS.ErrnoException
  if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes(name)) throw error
  throw new errors.SQLA_ERR_MIGRATION_PACKAGE(name, name, { cause: error })
}
