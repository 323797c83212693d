import { Agent, request as httpRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestApp } from './app.ts'

// Many clients at once, each of which keeps its connection and its cookies, and takes a breath between requests.

export interface LoadRequest {
  readonly method?: string
  readonly path: string
  readonly body?: unknown
}

/** One answer. Without a status there was none. */
export interface Sample {
  /** When it was asked, and how long the answer took, in milliseconds; see `performance.now()`. */
  readonly at: number
  readonly ms: number
  readonly status: number | undefined
  readonly body: string
  readonly path: string
}

export interface LoadOptions {
  readonly clients: number
  /** Milliseconds between an answer and the next request of a client, on average. */
  readonly pause?: number
  /** What the n-th request of all is. */
  next(n: number): LoadRequest
}

/** Clients that ask until they are stopped. */
export class Load {
  readonly samples: Sample[] = []
  readonly #test: TestApp
  readonly #options: LoadOptions
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  readonly #clients: Promise<void>[]
  readonly #asked = new Set<number>()
  #stopped = false
  #n = 0

  constructor(test: TestApp, options: LoadOptions) {
    this.#test = test
    this.#options = options
    this.#clients = Array.from({ length: options.clients }, () => this.#run())
  }

  /** Lets every client finish its request. @returns all answers */
  async stop(): Promise<Sample[]> {
    this.#stopped = true
    await Promise.all(this.#clients)
    this.#agent.destroy()
    return this.samples
  }

  /** For how long the oldest request has been waiting for its answer, in milliseconds. */
  get longestWait(): number {
    return this.#asked.size === 0 ? 0 : performance.now() - Math.min(...this.#asked)
  }

  /** Resolves when `count` more requests, asked from now on, have been answered. */
  async answers(count: number): Promise<Sample[]> {
    const from = performance.now()
    const since = () => this.samples.filter(({ at }) => at >= from)
    while (since().length < count) await sleep(10)
    return since()
  }

  async #run(): Promise<void> {
    const { pause = 0, next } = this.#options
    const cookies = new Map<string, string>()
    await sleep(Math.random() * pause)
    while (!this.#stopped) {
      this.samples.push(await this.#ask(next(this.#n++), cookies))
      await sleep(pause * (0.5 + Math.random()))
    }
  }

  #ask({ method = 'GET', path, body }: LoadRequest, cookies: Map<string, string>): Promise<Sample> {
    const at = performance.now()
    this.#asked.add(at)
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers: Record<string, string | number> = {}
    if (text !== undefined) {
      headers['content-type'] = 'application/json'
      headers['content-length'] = Buffer.byteLength(text)
    }
    if (cookies.size > 0) headers.cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    return new Promise(resolve => {
      const end = (status: number | undefined, answer: string) => {
        this.#asked.delete(at)
        resolve({ at, ms: performance.now() - at, status, body: answer, path })
      }
      const options = { port: this.#test.port, host: '127.0.0.1', method, path, headers, agent: this.#agent }
      const request = httpRequest(options, response => {
        let answer = ''
        response.setEncoding('utf8')
        response.on('data', chunk => {
          answer += chunk
        })
        response.on('end', () => {
          for (const line of response.headers['set-cookie'] ?? []) {
            const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
            cookies.set(name, value)
          }
          end(response.statusCode, answer)
        })
      })
      request.on('error', error => end(undefined, String(error)))
      request.end(text)
    })
  }
}

/** The answers that were no success, each kind once, with how many there were. */
export function failuresOf(samples: readonly Sample[]): string[] {
  const counts = new Map<string, number>()
  for (const { status, body } of samples) {
    if (status !== undefined && status < 400) continue
    const what = `${status} ${body}`
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }
  return [...counts].map(([what, count]) => `${count} x ${what}`)
}

/** How many answers took no more time than 99 of 100 did, in milliseconds. */
export function p99(samples: readonly Sample[]): number {
  const sorted = samples.map(({ ms }) => ms).sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN
}

/** How many answers came from which server, by port. */
export function portsOf(samples: readonly Sample[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { body, status } of samples) {
    if (status !== 200) continue
    const { port } = JSON.parse(body) as { port: number }
    counts[port] = (counts[port] ?? 0) + 1
  }
  return counts
}
