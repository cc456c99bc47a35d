// Numbers as data sheets and file formats print them.

/** `0x1f`, with zeros in front up to `digits`. */
export function hex(value: number, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}
