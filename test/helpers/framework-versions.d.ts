// Versions installed under another name have no types of their own.
declare module 'express-4' {
  export { default } from 'express'
}

declare module 'express-oldest' {
  export { default } from 'express'
}

declare module 'koa-oldest' {
  export { default } from 'koa'
}
