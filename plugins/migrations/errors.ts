import { defineErrors, type ErrorClasses, type ErrorRow, redact } from '../../src/index.ts'

/** The error table of `fastify-sqlassist/migrations`. `docs/errors.md` says for each code how to solve it. */
export const errorTable = {
  SQLA_ERR_MIGRATION_PACKAGE: { message: '%s is not installed. Install it: npm i %s' },
  SQLA_ERR_MIGRATION_APP: { message: 'There is no app.sqlAssist: %s' },
  SQLA_ERR_MIGRATION_ENGINE: { message: "Engine '%s' cannot be migrated: %s" },
  SQLA_ERR_MIGRATION_FOLDER: { message: "The migrations of engine '%s': %s" },
  SQLA_ERR_MIGRATION_FILE: { message: "Revision '%s' of engine '%s' cannot be used: %s" },
  SQLA_ERR_MIGRATION_TARGET: { message: "'%s' is no target for engine '%s': %s" },
  SQLA_ERR_MIGRATION_FAILED: { message: "Engine '%s': revision '%s' failed at %s: %s. %s" },
  SQLA_ERR_MIGRATION_FOREIGN_KEY: {
    message: "Rows of table '%s' would point to rows of '%s' that do not exist",
  },
  SQLA_ERR_MIGRATION_SQL: {
    message:
      "Revision '%s' of engine '%s' cannot be printed: its %s() runs statements itself instead of adding them with addSql()",
  },
  SQLA_ERR_MIGRATION_LOCK: {
    message: "Engine '%s' is being migrated by another process, which was not done within %s ms",
  },
  SQLA_ERR_MIGRATION_TABLES: { message: "The tables of engine '%s' could not be %s: %s" },
  SQLA_ERR_MIGRATION_DATA: { message: '%s cannot be loaded: %s' },
  SQLA_ERR_MIGRATION_SEEDER: { message: 'Seeder %s: %s' },
} as const satisfies Record<string, ErrorRow>

/** The error classes of `fastify-sqlassist/migrations`, by code. */
export const errors: ErrorClasses<typeof errorTable> = defineErrors(errorTable)

/** What an error says, without what could be a password. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return redact(message).replace(/\.$/, '')
}
