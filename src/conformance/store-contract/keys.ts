import assert from 'node:assert/strict'
import type { IdempotencyStore } from '../../stores/store.ts'
import { times } from '../times.ts'
import { held, month, type Rule } from './harness.ts'

/** What collations, encodings, patterns and quoting take for something else, or for one another. */
const oddEndings = [
  ...['', ' ', '  ', 'a', 'A', 'a ', ' a', 'a\t', 'a\n', '\n', '\r\n', '0', '00', '0.0', '-0'],
  ...['%', '%%', '_', '*', '?', '[a]', ':', '~', '{}', '{a}', '$1', '?1', '#', '--', ';'],
  ...["'", "''", '"', '""', '`', '\\', '\\\\', "\\'", '\\0', '\\x00', '%00', '\\u0000'],
  // What C strings, text columns and terminals end or drop.
  ...['\0', '\0a', '\0b', '\x01', '\x1a', '\x1b', '\x7f', '\x80', '\x85', '\u200b', '\u00ad'],
  ...['\ufeff', '\u2028', '\u202e'],
  // 0xFF in Latin-1, and what its two bytes in UTF-8 are in Latin-1.
  ...['\xff', '\xc3\xbf', 'y', '\uffff'],
  // Two normal forms of one letter, and letters that compare as equal in many languages.
  ...['\xe9', 'e\u0301', 'e', '\xdf', 'ss', 'SS', 'i', 'I', '\u0131', '\u0130', '\uff41', '\u212b'],
  ...['\xc5', 'A\u030a', '\ufb01', 'fi', '\u03c3', '\u03c2'],
  // Lone surrogates, which are no text, and the character that replaces them.
  ...[
    '\ud800',
    '\ud801',
    '\udc00',
    '\udc00\ud800',
    '\ufffd',
    '\u{1f4a5}',
    '\u{1f4a6}',
    '\u{10000}',
  ],
  ...['__proto__', 'constructor', 'toString', 'null', 'undefined', 'true', '[object Object]'],
]

/** Names of tables and prefixes that fit every database, if they are quoted. */
const oddNames = [
  'select',
  '1',
  'Mixed-Case.with dots',
  '"double", \'single\' and `back`',
  "it's; -- 100%_\\ {x} [y] *? $1 :a",
  'Ünï cödé 名',
]

/** Which keys are the same: only those that are equal, code unit by code unit. */
export function keyRules(rule: Rule): void {
  rule('keys that look alike are different keys', async ({ store, key, claim }) => {
    const won = await times(oddEndings.length, async (index) => {
      const fingerprint = `f${index}`
      const mine = held(await claim(`${key}${oddEndings[index]}`, `owner-${index}`, fingerprint))
      assert.equal(mine.fence, 1, JSON.stringify(oddEndings[index]))
      assert.equal(mine.key, `${key}${oddEndings[index]}`)
      return mine
    })
    await times(won.length, async (index) => {
      const mine = held(won[index])
      assert.equal(await store.complete(mine, { retentionMs: month }), true)
    })
    for (const [index, { key: name }] of won.entries()) {
      const completed = { state: 'completed', fingerprint: `f${index}` }
      assert.deepEqual(await claim(name, 'x'), completed, JSON.stringify(oddEndings[index]))
    }
    assert.equal(await store.forget(held(won[0]).key), 'forgotten')
    assert.equal((await claim(held(won[1]).key, 'x')).state, 'completed')
  })

  rule('unusual keys claimed one after another are different keys', async ({ key, hold }) => {
    for (const ending of oddEndings) {
      assert.equal((await hold(`${key}${ending}`, 'a')).fence, 1, JSON.stringify(ending))
    }
  })

  rule(
    'long keys that differ only in their last character are different keys',
    async ({ key, claim, hold, completeNew }) => {
      for (const length of [63, 127, 128, 129, 191, 255, 256, 767, 1_024, 3_072, 65_536]) {
        const long = key.padEnd(length - 1, 'x')
        assert.equal((await completeNew(`${long}a`, 'a')).key, `${long}a`)
        assert.equal((await hold(`${long}b`, 'a')).fence, 1, `${length} characters`)
        assert.equal((await hold(long, 'a')).fence, 1, `${length} characters`)
        assert.equal((await claim(`${long}a`, 'b')).state, 'completed')
      }
      const wide = key + '名'.repeat(1_000)
      assert.equal((await hold(`${wide}a`, 'a')).fence, 1)
      assert.equal((await hold(`${wide}b`, 'a')).fence, 1)
    },
  )

  rule('owners that look alike are different owners', async ({ store, key, claim }) => {
    for (const [index, owner, alike] of [
      [0, 'a', 'A'],
      [1, 'a', 'a '],
      [2, 'a', 'a\0'],
      [3, '1', '01'],
      [4, '\xe9', 'e\u0301'],
    ] as const) {
      const mine = held(await claim(`${key}-${index}`, owner))
      const other = await claim(`${key}-${index}`, alike)
      assert.equal(other.state, 'in_flight', JSON.stringify(alike))
      assert.equal(await store.release({ ...mine, owner: alike }), false)
      assert.equal(await store.release(mine), true)
    }
  })
}

/** Stores under names that are odd as those of tables and prefixes. */
export function nameRules(
  rule: Rule,
  createNamed: (name: string) => Promise<IdempotencyStore>,
): void {
  for (const name of oddNames) {
    rule(`a store can be named ${JSON.stringify(name)}`, async ({ key }) => {
      // Names are cut in silence at 63 bytes by some databases.
      const suffix = key.slice(-12)
      const stores = [
        await createNamed(`${name} ${suffix}a`),
        await createNamed(`${name} ${suffix}b`),
      ]
      const options = { owner: 'a', leaseMs: 30_000, fingerprint: 'f' }
      for (const store of stores) {
        const mine = held(await store.claim(key, options))
        assert.equal(mine.fence, 1)
        assert.equal(await store.extend(mine, options), true)
        assert.equal(await store.release(mine), true)
        const next = held(await store.claim(key, options))
        assert.equal(await store.complete(next, { retentionMs: month }), true)
        assert.equal((await store.claim(key, options)).state, 'completed')
        assert.equal(await store.status(key), 'completed')
        assert.equal(await store.forget(key), 'forgotten')
        assert.equal(held(await store.claim(key, options)).fence, 3)
      }
    })
  }
}
