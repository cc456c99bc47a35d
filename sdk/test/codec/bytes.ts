// Bytes as the standards print them.

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));
}

export { toHex } from '../../src/codec/bytes.ts';

/** What `write` writes, at an offset of its own, so that an ignored offset shows. */
export function written(write: (target: Uint8Array, offset: number) => number): Uint8Array {
  const size = write(new Uint8Array(0), 0);
  const target = new Uint8Array(size + 5).fill(0xa5);
  const end = write(target, 3);
  if (end !== size + 3) throw new Error(`measured ${size} bytes, wrote ${end - 3}`);
  if (target[2] !== 0xa5 || target[end] !== 0xa5) throw new Error('wrote outside');
  return target.slice(3, end);
}

/** The content between bytes of another making: nothing outside may matter. */
export function poisoned(content: Uint8Array, poison: number): Uint8Array {
  const bytes = new Uint8Array(content.length + 24).fill(poison);
  bytes.set(content, 8);
  return bytes;
}
export const POISON_START = 8;
