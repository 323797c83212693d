// The names of prepared transactions. They say whose they are and who decides, so that any process of the application can end
// what another one left behind: `sqlassist:<application>:<id of the transaction>:<engine>:<coordinator>`.

const PREFIX = 'sqlassist'

/** Bytes. PostgreSQL's limit is 200, with the zero byte at the end. */
const LONGEST = 199

const NAME = /^sqlassist:([\w.-]+):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):[\w$]+:([0-9a-f]{8})$/

/** Who may decide about a prepared transaction. */
export interface Deciders {
  readonly application: string
  /** Which table of decisions: 8 hexadecimal digits. */
  readonly coordinator: string
}

/**
 * @param id of the transaction, a UUID
 * @param engine whose part of it this is; two engines may live on one server, where a name can be given once
 */
export function branchName({ application, coordinator }: Deciders, id: string, engine: string): string {
  return `${PREFIX}:${application}:${id}:${engine}:${coordinator}`
}

/** Whether an engine's name is too long to be a part of theirs. */
export function isTooLong(application: string, engine: string): boolean {
  return branchName({ application, coordinator: '0'.repeat(8) }, '0'.repeat(36), engine).length > LONGEST
}

/**
 * Two applications may have the same name by mistake and share a database. Neither would find the other's decisions, and would roll
 * back what has been decided to commit; so the name says where the decision is.
 *
 * @returns the id of the transaction; undefined when others decide about it
 */
export function transactionIdOf({ application, coordinator }: Deciders, name: string): string | undefined {
  const [, whose, id, where] = NAME.exec(name) ?? []
  return whose === application && where === coordinator ? id : undefined
}
