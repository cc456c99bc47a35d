// Ed25519 over noble on XS. The command is JSON: cases as [key, message, signature] in hex, and
// the answer says of each 1 or 0; a command of one case costs no more than the case itself.

import { verifyEd25519 } from '../../../sdk/ports/noble/ed25519.ts';

function bytesOf(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}

function handleCommand(bytes: ArrayBuffer): ArrayBufferLike {
  const cases: string[][] = JSON.parse(new TextDecoder().decode(bytes));
  const verdicts = cases.map(([key = '', message = '', signature = '']) =>
    verifyEd25519(bytesOf(key), bytesOf(message), bytesOf(signature)) ? '1' : '0',
  );
  return new TextEncoder().encode(verdicts.join('')).buffer;
}

// The worker looks for it among the globals.
Object.assign(globalThis, { handleCommand });
