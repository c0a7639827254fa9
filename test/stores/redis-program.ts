import { Redis } from 'ioredis'
import { redisStore } from '../../src/stores/redis.ts'
import { storeProgram } from '../../src/testing.ts'

storeProgram(({ data }) => {
  const { url, prefix } = data as { readonly url: string; readonly prefix: string }
  return redisStore(new Redis(url), { prefix })
})
