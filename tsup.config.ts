import { defineConfig } from 'tsup'

export default defineConfig({
  entry: [
    'src/*.ts',
    'src/stores/{redis,postgres,mysql,sqlite}.ts',
    'src/inboxes/{sqlite,bullmq,pg-boss}.ts',
  ],
  format: ['esm', 'cjs'],
  target: 'node20',
  // In both formats: a class with private fields, or a WeakMap, that each entry had its own copy of
  // would not know the objects that another entry made.
  splitting: true,
  // Rollup writes the CommonJS chunks then. tsup's own way is sucrase, which also rewrites class
  // fields and `?.` into slower code.
  treeshake: true,
  removeNodeProtocol: false,
  dts: true,
  clean: true,
})
