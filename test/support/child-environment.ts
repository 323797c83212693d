/** What a process that a test starts gets of the environment: nothing that a developer has set may change what it does. */
export const childEnvironment = {
  PATH: process.env.PATH,
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
}
