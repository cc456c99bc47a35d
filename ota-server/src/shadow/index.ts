// The shadow service: a pure core, and its MQTT edge.

export {
  type BrokerAddress,
  type Connection,
  type ConnectionOptions,
  type MessageFlags,
  openConnection,
  subscribe,
} from './connection.ts';
export {
  type Message,
  type MessageName,
  type Outcome,
  type Request,
  type RequestKind,
  rejection,
  respond,
} from './core.ts';
export {
  difference,
  isTree,
  merge,
  type Shadow,
  type State,
  type Tree,
  treeOf,
  type Value,
} from './document.ts';
export {
  type Decoded,
  decodeDocument,
  decodeRequest,
  type Encoding,
  encodeDocument,
} from './payload.ts';
export {
  DEPTH_MAX,
  REQUEST_SIZE_MAX,
  type Refusal,
  type RefusalCode,
  STATE_SIZE_MAX,
  TOKEN_SIZE_MAX,
} from './request.ts';
export {
  AWS_FAMILY,
  ID_SIZE_MAX,
  OWN_FAMILY,
  PENDING_COUNT_MAX,
  type ShadowCounters,
  ShadowService,
  type ShadowServiceOptions,
  type TopicFamily,
} from './service.ts';
export { MemoryStore, SHADOW_COUNT_MAX, SHADOWS_SIZE_MAX, type ShadowStore } from './store.ts';
