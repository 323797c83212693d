import type { RawConnection } from './raw-connection.ts'

/**
 * `set constraints all deferred` would defer those, too, that are immediate unless one asks. (A constraint in a schema that this user
 * may not look into cannot be named.)
 */
const DEFER_AGAIN = `do $$ declare names text; begin
  select string_agg(format('%I.%I', n.nspname, c.conname), ', ') into names
    from pg_constraint c join pg_namespace n on n.oid = c.connamespace
    where c.condeferred and c.conparentid = 0 and has_schema_privilege(n.oid, 'usage');
  if names is not null then execute 'set constraints ' || names || ' deferred'; end if;
end $$`

/**
 * Checks what COMMIT would check, and leaves the constraints as they are at the beginning of a transaction.
 *
 * @throws what the server says of the first that is violated
 */
export async function checkDeferred(connection: RawConnection): Promise<void> {
  await connection.exec('set constraints all immediate')
  await connection.exec(DEFER_AGAIN)
}
