import { Redis } from 'ioredis'
import { storeProgram } from '../../src/conformance.ts'
import { redisStore } from '../../src/stores/redis.ts'

storeProgram(({ data }) => {
  const { url, prefix } = data as { readonly url: string; readonly prefix: string }
  return redisStore(new Redis(url), { prefix })
})
