// The embedded broker: aedes (MQTT 3.1.1) on a free loopback port, in a process of its own.

import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import type { FromBroker } from './messages.ts';
import { endWithParent, tellParent } from './parent.ts';

const broker = await Aedes.createBroker({ concurrency: 10_000, queueLimit: 100_000 });
const server = createServer({ noDelay: true }, (socket) => {
  broker.handle(socket);
});

server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const message: FromBroker = { kind: 'listening', port: address.port };
  tellParent(message);
});
endWithParent();
