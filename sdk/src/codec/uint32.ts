// 32 bits in network order, as CBOR, the buffer and the session hold them. A DataView would cost
// an object per call on a device.

/** Writes `value` modulo 2^32, its fraction cut off, and returns the offset after it. */
export function writeUint32(target: Uint8Array, offset: number, value: number): number {
  target[offset] = value >>> 24;
  target[offset + 1] = (value >>> 16) & 255;
  target[offset + 2] = (value >>> 8) & 255;
  target[offset + 3] = value & 255;
  return offset + 4;
}

/** The number in source[offset, offset + 4), 0 to 2^32 - 1. */
export function readUint32(source: Uint8Array, offset: number): number {
  return (
    (((source[offset] as number) << 24) |
      ((source[offset + 1] as number) << 16) |
      ((source[offset + 2] as number) << 8) |
      (source[offset + 3] as number)) >>>
    0
  );
}
