/** The roles that a cluster has for an application's engines. */
export const ROLES = ['app_reader', 'app_writer', 'app_logger'] as const

/** The name of one of the {@link ROLES}. */
export type RoleName = (typeof ROLES)[number]

// What each role may do with tables and sequences that exist or will exist
const RIGHTS: Record<RoleName, { tables: string; sequences: string; create: boolean }> = {
  app_reader: { tables: 'select', sequences: 'select', create: false },
  app_writer: { tables: 'select, insert, update, delete', sequences: 'select, usage', create: true },
  app_logger: { tables: 'select, insert', sequences: 'select, usage', create: true },
}

/** SQL that creates the roles, or gives those that exist their password. It runs once per server. */
export function createRolesSql(passwords: Partial<Record<RoleName, string>>): string {
  return Object.entries(passwords)
    .map(
      ([role, password]) => `do $$ begin
  if not exists (select from pg_roles where rolname = '${role}') then create role ${role} login; end if;
end $$;
alter role ${role} login password '${password}';`,
    )
    .join('\n')
}

/**
 * SQL that gives the roles their rights in the database it runs in: on what exists, on schema `public`, and on
 * what `owner` or one of the roles will create.
 */
export function grantsSql(roles: readonly RoleName[], owner: string): string {
  const sql: string[] = []
  for (const role of roles) {
    const { tables, sequences, create } = RIGHTS[role]
    sql.push(
      `grant usage${create ? ', create' : ''} on schema public to ${role}`,
      `grant ${tables} on all tables in schema public to ${role}`,
      `grant ${sequences} on all sequences in schema public to ${role}`,
    )
    for (const creator of [`"${owner.replaceAll('"', '""')}"`, ...roles]) {
      if (creator === role) continue
      const future = `alter default privileges for role ${creator} grant`
      sql.push(
        `${future} ${tables} on tables to ${role}`,
        `${future} ${sequences} on sequences to ${role}`,
        `${future} usage on schemas to ${role}`,
      )
    }
  }
  return sql.join(';\n')
}
