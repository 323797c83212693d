import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { bucketOf, LAST_BUCKET, mostBucket } from '../../plugins/segments/percentage.ts'

interface Buckets {
  readonly buckets: readonly (readonly [value: string, percentage: number, segmentKey?: string])[]
}

for (const [file, count] of [
  ['percentage-buckets.json', 625],
  ['percentage-rehash.json', 20],
] as const) {
  t.test(`${file} exactly`, async t => {
    const url = new URL(`../fixtures/segments/${file}`, import.meta.url)
    const { buckets }: Buckets = JSON.parse(readFileSync(url, 'utf8'))
    t.equal(buckets.length, count)
    const percentages = buckets.map(
      ([value, , segmentKey = 'seg']) => (bucketOf(segmentKey, value) / 9998) * 100,
    )
    t.same(
      percentages,
      buckets.map(([, percentage]) => percentage),
    )
    const wrong = buckets.filter(([value, percentage, segmentKey = 'seg']) => {
      const bucket = bucketOf(segmentKey, value)
      return bucket > mostBucket(percentage) || bucket <= mostBucket(percentage - 0.0001)
    })
    t.same(wrong, [], 'a threshold of just that percentage includes it, a smaller one does not')
  })
}

t.test('the greatest bucket within a threshold is the one that doubles find', async t => {
  const found = (threshold: number): number => {
    let most = -1
    for (let bucket = 0; bucket < 9998; bucket++) if ((bucket / 9998) * 100 <= threshold) most = bucket
    return most
  }
  for (let bucket = 0; bucket < 9998; bucket += 17) {
    const threshold = (bucket / 9998) * 100
    t.equal(mostBucket(threshold), bucket)
  }
  fc.assert(
    fc.property(fc.oneof(fc.double({ min: -1, max: 101 }), fc.double()), threshold => {
      return mostBucket(threshold) === found(threshold)
    }),
    { numRuns: 500 },
  )
})

t.test('thresholds outside of the scale', async t => {
  t.equal(mostBucket(0), 0, 'bucket 0 is at 0 percent, and the threshold is included')
  t.equal(mostBucket(-0.001), -1)
  t.equal(mostBucket(Number.NaN), -1)
  t.equal(mostBucket(Number.NEGATIVE_INFINITY), -1)
  t.equal(mostBucket(100), LAST_BUCKET)
  t.equal(mostBucket(Number.POSITIVE_INFINITY), LAST_BUCKET)
})
