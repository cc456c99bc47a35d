// CRC-32 (IEEE 802.3, reflected), as ESP-IDF's bootloader computes it.

const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  let crc = value;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc >>> 0;
});

/** Of bytes[start, end), going on from `crc`; 0 begins. */
export function crc32(bytes: Uint8Array, start: number, end: number, crc = 0): number {
  let value = ~crc >>> 0;
  for (let index = start; index < end; index += 1) {
    value = (TABLE[(value ^ bytes[index]!) & 255]! ^ (value >>> 8)) >>> 0;
  }
  return ~value >>> 0;
}

/**
 * ESP-IDF's CRC of a sequence number: of its four bytes, with the initial value 0xFFFFFFFF of
 * `esp_rom_crc32_le`, which inverts it: the register begins at 0.
 */
export function espSequenceCrc(sequence: number): number {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, sequence, true);
  return crc32(bytes, 0, 4, 0xffffffff);
}
