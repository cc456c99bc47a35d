// Moddable's time: ticks of 32 bits, signed.

import { world } from './world.ts';

export default {
  get ticks(): number {
    return world.ticks | 0;
  },
};
