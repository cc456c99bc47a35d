// embedded:storage/key-value over NVS: a missing key reads as undefined, keys are at most 15
// characters long, and deleting a key that is not there throws.

import { world } from './world.ts';

export default {
  open({ path }: { readonly path: string }) {
    const name = (key: string): string => {
      if (key.length > 15) throw new Error('NVS: key too long');
      return `${path}/${key}`;
    };
    return {
      read(key: string): ArrayBufferLike | undefined {
        return world.values.get(name(key))?.slice().buffer;
      },
      write(key: string, value: Uint8Array): void {
        world.values.set(name(key), value.slice());
      },
      delete(key: string): void {
        if (!world.values.delete(name(key))) throw new Error('NVS: not found');
      },
      close: () => undefined,
    };
  },
};
