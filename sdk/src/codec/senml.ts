// SenML packs in CBOR (RFC 8428): all of it. Device code imports the part that it needs.

export * from './senml-pack.ts';
export * from './senml-read.ts';
export * from './senml-write.ts';
