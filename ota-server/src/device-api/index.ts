// The device side of the server, pure: messages, answers, signed URLs.

export * from './check.ts';
export * from './download-url.ts';
export * from './messages.ts';
