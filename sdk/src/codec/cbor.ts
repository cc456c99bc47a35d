// CBOR (RFC 8949): all of it. Device code imports the part that it needs.

export * from './cbor-read.ts';
export * from './cbor-value.ts';
export * from './cbor-write.ts';
