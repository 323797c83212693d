import { type Html, html } from '../../web/html.ts'
import type { LagSample, ReplicaHistory } from '../records.ts'
import { clock, duration } from './format.ts'

// The picture is stretched to the width that there is; texts are beside it, so that they are not.
const WIDTH = 1000
const HEIGHT = 60

/** How late a replica was over time, and when it was not online. */
export function lagPicture({ replica, samples }: ReplicaHistory): Html {
  const [first, last] = [samples[0] as LagSample, samples.at(-1) as LagSample]
  const most = Math.max(...samples.map(({ lag }) => lag?.ms ?? 0))
  const x = (at: number): number => ((at - first.at) / Math.max(1, last.at - first.at)) * WIDTH
  const y = (ms: number): number => HEIGHT - (ms / Math.max(most, 1)) * (HEIGHT - 4)
  const states = samples.slice(0, -1).map((sample, index) => ({
    state: sample.state,
    from: x(sample.at),
    to: x((samples[index + 1] as LagSample).at),
  }))
  const summary = `Lag of ${replica}: at most ${duration(most)}, now ${duration(last.lag?.ms)}, ${last.state}`
  return html`<figure class="lag"><svg role="img" aria-label="${summary}" width="100%" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none">
<rect class="track" width="${WIDTH}" height="${HEIGHT}"/>
${states
  .filter(({ state }) => state !== 'online')
  .map(
    ({ state, from, to }) =>
      html`<rect class="while-${state === 'lagging' ? 'lagging' : 'down'}" x="${from.toFixed(1)}" width="${(to - from).toFixed(1)}" height="${HEIGHT}"/>`,
  )}
${lines(samples).map(line => {
  const points = line.map(({ at, lag }) => `${x(at).toFixed(1)},${y(lag?.ms ?? 0).toFixed(1)}`)
  const [from, to] = [x((line[0] as LagSample).at), x((line.at(-1) as LagSample).at)]
  return html`<polygon class="area" points="${from.toFixed(1)},${HEIGHT} ${points.join(' ')} ${to.toFixed(1)},${HEIGHT}"/><polyline class="curve" points="${points.join(' ')}" vector-effect="non-scaling-stroke"/>`
})}</svg><figcaption class="quiet"><span>${clock(first.at)}</span><span>at most ${duration(most)}</span><span>${clock(last.at)}</span></figcaption></figure>`
}

/** Where it did not answer the curve is interrupted. */
function lines(samples: readonly LagSample[]): LagSample[][] {
  const found: LagSample[][] = [[]]
  for (const sample of samples) {
    if (sample.lag === undefined) found.push([])
    else found.at(-1)?.push(sample)
  }
  return found.filter(line => line.length > 0)
}
