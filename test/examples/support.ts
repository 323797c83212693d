import type { ClusterOptions, EmbeddedCluster } from 'fastify-sqlassist/embedded'

// Examples see the package as its users do, built. The compiler must not see its sources beside that: both extend
// Fastify's types, each with its own classes. So what belongs to the sources is loaded behind its back.

interface Teardown {
  teardown(fn: () => unknown): unknown
}

/** What is used here of the `TestDatabase` in test/support/cluster.ts. */
export interface TestDatabase {
  readonly readerUrl: string
  readonly writerUrl: string
  readonly loggerUrl: string
  sql(text: string): Promise<Record<string, unknown>[]>
}

interface Sources {
  '../support/cluster.ts': {
    testDatabase(t: Teardown): Promise<TestDatabase>
    testCluster(t: Teardown, options?: ClusterOptions): Promise<EmbeddedCluster>
  }
  '../../plugins/embedded/account.ts': { serverAccount(): { uid: number } | undefined }
  '../../plugins/embedded/storage.ts': {
    temporaryDirectory(account: { uid: number } | undefined): Promise<string>
  }
}

const load = <Path extends keyof Sources>(path: Path): Promise<Sources[Path]> =>
  import(new URL(path, import.meta.url).href)

export const { testDatabase, testCluster } = await load('../support/cluster.ts')
const { serverAccount } = await load('../../plugins/embedded/account.ts')
const { temporaryDirectory } = await load('../../plugins/embedded/storage.ts')

/** A directory for an example's cluster, whichever user its servers run as. */
export const makeTemporaryDirectory = (): Promise<string> => temporaryDirectory(serverAccount())

/** The URLs of the notes example on a test's own database. */
export function urlsOf(database: TestDatabase) {
  return { reader: database.readerUrl, writer: database.writerUrl, logger: database.loggerUrl }
}
