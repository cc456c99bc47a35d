// Moddable's time client.

import { world } from './world.ts';

export default class SNTP {
  constructor(options: { host: string }, callback: (message: number, value?: number) => void) {
    world.timeRequests.push({ host: options.host, answer: callback });
  }
}
