// CRC-32 (IEEE 802.3 §3.2.9, reflected): tells a record that was cut from one that is whole.

/** By half bytes: 16 entries instead of 256, for devices. */
const TABLE = [
  0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
  0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
];

/** Of bytes[start, end), going on from `crc`; 0 begins. */
export function crc32(bytes: Uint8Array, start: number, end: number, crc: number): number {
  let value = ~crc;
  for (let index = start; index < end; index += 1) {
    value ^= bytes[index] as number;
    value = (value >>> 4) ^ (TABLE[value & 15] as number);
    value = (value >>> 4) ^ (TABLE[value & 15] as number);
  }
  return ~value >>> 0;
}
