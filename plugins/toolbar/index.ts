export type { Authorize } from '../web/authorize.ts'
export { errors, errorTable } from './errors.ts'
export type { ToolbarOptions } from './options.ts'
export { toolbar } from './plugin.ts'
