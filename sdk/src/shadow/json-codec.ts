// Shadow documents as JSON, as AWS IoT has them.

import { JsonReader } from '../codec/json-read.ts';
import { writeJson } from '../codec/json-write.ts';
import { DOCUMENT_COUNT_MAX, DOCUMENT_DEPTH_MAX, type ShadowCodec } from './shadow-codec.ts';
import { isMap, type ShadowMap } from './shadow-value.ts';

/** For topics `$aws/things/{id}/shadow/…`. */
export const jsonCodec: ShadowCodec = {
  read(source: Uint8Array, start: number, end: number, sizeMax: number): ShadowMap | undefined {
    const limits = { depthMax: DOCUMENT_DEPTH_MAX, countMax: DOCUMENT_COUNT_MAX, sizeMax };
    const document = new JsonReader(source, start, end, limits).read();
    return isMap(document) ? document : undefined;
  },
  write(target: Uint8Array, offset: number, document: ShadowMap): number {
    return writeJson(target, offset, document, DOCUMENT_DEPTH_MAX);
  },
};
