export { type FlagsApiOptions, flagsApi } from './api.ts'
export type { Authorize, AuthorizeOptions } from './authorize.ts'
export { FlagClient, type FlagClientOptions, type Snapshot } from './client.ts'
export { FlagContext, type FlagDetails, type FlagName, type SqlAssistFlags } from './context.ts'
export type { FlagMessage } from './diagnostics.ts'
export { errors, errorTable } from './errors.ts'
export type { FlagChange } from './events.ts'
export { type Entries, Flag, type Reason, type Surroundings, type Verdict } from './flag.ts'
export type {
  EnabledForActors,
  EnabledForPercentage,
  FlagData,
  FlagInput,
  JsonValue,
  Variant,
  Variants,
} from './flag-data.ts'
export { MemoryFlagStorage } from './memory-storage.ts'
export { type OfrepOptions, ofrep } from './ofrep.ts'
export { SqlAssistProvider, type SqlAssistProviderOptions } from './openfeature-provider.ts'
export { type FlagsOptions, flags } from './plugin.ts'
export { FlagStorage, type FlagStorageOptions } from './storage.ts'
export type {
  Changes,
  FlagStore,
  HistoryAction,
  HistoryEntry,
  HistoryOptions,
  UpsertOptions,
  Usage,
} from './store.ts'
export { type FlagsWebUiOptions, flagsWebUi } from './web-ui.ts'
