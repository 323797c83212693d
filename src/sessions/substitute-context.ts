import type { Lease } from '../engines/connection-pool.ts'
import type { Engine } from '../engines/engine.ts'
import type { SubstitutePool, SubstituteScope } from '../engines/substitute-pool.ts'
import type { ConnectionContext } from './connection.ts'

/** An engine whose connections are those of a substitute, which is told who asks; see `substitutePool`. */
export class SubstituteContext implements ConnectionContext {
  readonly engine: Engine
  readonly pool: { acquire(): Promise<Lease> }

  constructor(engine: Engine, substitute: SubstitutePool, scope: SubstituteScope) {
    this.engine = engine
    this.pool = { acquire: () => substitute.acquire(scope) }
  }

  get name(): string {
    return this.engine.name
  }

  get readOnly(): boolean {
    return this.engine.readOnly
  }

  get begin(): readonly string[] {
    return this.engine.begin
  }
}
