// A file that was renamed must not live on in the package: every build starts from nothing.
import { rm } from 'node:fs/promises'

await rm(new URL('../dist', import.meta.url), { recursive: true, force: true })
