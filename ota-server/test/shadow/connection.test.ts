import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { openConnection } from '../../src/shadow/connection.ts';

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

test('a broker that says nothing is given up after the time that its address allows', async () => {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const startMs = performance.now();
  const opening = openConnection(
    { host: '127.0.0.1', port, connectMsMax: 100 },
    { clientId: 'c1', clean: true, onMessage: () => undefined },
  );
  await expect(opening).rejects.toThrow('connack timeout');
  // Once for each version of MQTT, and far from the default of 5 s.
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(190);
  expect(performance.now() - startMs).toBeLessThan(5_000);
});
