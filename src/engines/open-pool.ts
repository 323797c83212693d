import type { AbstractSqlConnection } from '@mikro-orm/sql'
import { CompiledQuery } from 'kysely'
import type { ConnectionPool, PoolContext } from './connection-pool.ts'
import { KyselyPool } from './kysely-pool.ts'
import { connectionOf, dialectOf, platformOf, type SqlOrm } from './orm.ts'
import { type PgNativePool, PgPool } from './pg-pool.ts'

/** Opens the pool that suits what an instance connects through: straight on `pg`, or on whatever Kysely drives. */
export async function openPool(orm: SqlOrm, context: PoolContext): Promise<ConnectionPool> {
  const connection = connectionOf(orm)
  const dialect = dialectOf(platformOf(orm))
  // The hooks of MikroORM run inside Kysely's driver, so an engine that has one is driven through Kysely.
  const hooked =
    orm.config.get('onCreateConnection') !== undefined ||
    orm.config.get('onReserveConnection') !== undefined ||
    orm.config.get('sessionContext') === 'connection'
  if (dialect === 'postgresql' && !hooked) {
    const native = await nativePool(connection)
    if (native !== undefined) {
      const pool = new PgPool(native, context)
      // The first connection that is lent is asked whether it is read-only: not in the time of a request.
      if (context.guard === 'unless read-only') (await pool.acquire()).release()
      return pool
    }
  }
  const max = dialect === 'sqlite' ? 1 : orm.config.get('pool')?.max
  // Only a pooler before PostgreSQL may keep connections from being read-only that asked to be.
  const mayLack = context.guard === 'unless read-only' && dialect === 'postgresql'
  const isGuarded = context.guard === 'always' || (mayLack && (await lacksReadOnly(connection, context)))
  return new KyselyPool(connection.getClient().getExecutor(), max, dialect === 'sqlite', {
    ...context,
    guard: isGuarded ? 'always' : undefined,
  })
}

/** The pool of `pg` under a connection of MikroORM's; undefined where there is none. */
export async function nativePool(connection: AbstractSqlConnection): Promise<PgNativePool | undefined> {
  const native = await connection.getNativeClient().catch(() => undefined)
  return isPgPool(native) ? native : undefined
}

function isPgPool(native: unknown): native is PgNativePool {
  return typeof native === 'object' && native !== null && 'waitingCount' in native && 'Client' in native
}

async function lacksReadOnly(connection: AbstractSqlConnection, context: PoolContext): Promise<boolean> {
  const { rows } = await connection
    .getClient()
    .executeQuery<{ setting: string }>(
      CompiledQuery.raw("select current_setting('default_transaction_read_only') as setting"),
    )
  if (rows[0]?.setting === 'on') return false
  context.onGuarded?.('default_transaction_read_only is off')
  return true
}
