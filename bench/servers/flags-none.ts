import { serveFlags } from './flags-app.ts'

await serveFlags({ asked: 0 })
