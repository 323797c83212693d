/** One of those that commit, one after the other. */
export interface CommitStep {
  /** As errors and logs name it. */
  readonly name: string
  commit(): unknown
}

/** A session, as the transaction that it has joined sees it. */
export interface Participant extends CommitStep {
  /** Whether it is inside a transaction of the database. */
  readonly isOpen: boolean
  /** Writes what is pending. */
  flush(): Promise<void>
  /** Commits what was flushed. */
  commit(): Promise<void>
  rollback(): Promise<void>
  /** Flushes, and remembers what there is now; undefined when no statement has begun a transaction yet. */
  savepoint(name: string): Promise<ParticipantSavepoint | undefined>
}

/** A savepoint of one database. */
export interface ParticipantSavepoint {
  /** Undoes what has happened since, and forgets the entities. */
  rollback(): Promise<void>
  release(): Promise<void>
}
