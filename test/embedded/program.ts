import { startCluster } from '../../plugins/embedded/index.ts'

// An application that starts a cluster and ends without stopping it. argv: how it ends.
const ending = process.argv[2]

if (ending === 'early') process.stdout.write('{}\n')
const cluster = await startCluster({ replicas: ending === 'paused' ? 1 : 0 })
if (ending === 'paused') await cluster.replicas[0]?.pause()
process.stdout.write(`${JSON.stringify({ url: cluster.primary.url, pid: cluster.primary.pid })}\n`)

if (ending === 'exit') process.exit(7)
if (ending === 'throw') throw new Error('nobody catches this')
// 'return': nothing is left to do, and the cluster must not keep the process alive
if (ending === 'wait' || ending === 'paused') setInterval(() => {}, 1_000)
