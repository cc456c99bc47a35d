// @flotilla/sdk/node: the platform over Node, and its parts for other Node programs.

export { nodeCrypto } from './crypto.ts';
export { nodeHttp } from './http.ts';
export { NodeMemory } from './memory.ts';
export { FilePartition, type PartitionGeometry } from './partition.ts';
export { NodePlatform, type NodePlatformOptions } from './platform.ts';
export { FileSettings, MemorySettings } from './settings.ts';
export { connectStream, NodeStream, openCertificates, reasonOf, StreamBuffers } from './stream.ts';
