// The SDK's device and the shadow service, at one broker: what is desired gets into force and is
// reported, also to a device that was away.

import { ShadowService, type Tree } from '@flotilla/ota-server/shadow';
import { Device, DeviceProfile } from '@flotilla/sdk';
import { NodePlatform } from '@flotilla/sdk/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BROKERS, type Broker, hasBroker } from '../support/brokers.ts';

const kinds = BROKERS.filter(({ name }) => name === 'aedes' || name === 'mosquitto');

describe.each(kinds)('on $name', (kind) => {
  describe.skipIf(!hasBroker(kind, 'shadows of devices'))('a device', () => {
    let broker: Broker;
    let service: ShadowService;
    beforeAll(async () => {
      broker = await kind.start();
      const address = { host: '127.0.0.1', port: broker.port };
      service = new ShadowService({ broker: address, clientId: 'service' });
      await service.start();
    });
    afterAll(async () => {
      await service.stop();
      await broker.stop();
    });

    test('applies and reports what is desired of it', async () => {
      const applied: unknown[] = [];
      const handler = (value: unknown) => void applied.push(value);
      const profile = new DeviceProfile({
        broker: { host: '127.0.0.1', port: broker.port },
        intervalMs: 60_000,
        sensors: [],
        retryMsMin: 10,
        retryMsMax: 50,
        shadow: { handlers: { reportingInterval: handler } },
      });
      const device = new Device({ platform: new NodePlatform(), id: 'd1', profile });
      const desire = (reportingInterval: number) => {
        const desired = { reportingInterval } as unknown as Tree;
        service.request('d1', 'update', { state: { desired } });
      };
      const reported = () => service.shadowOf('d1')?.state.reported?.reportingInterval;
      desire(1); // Before it was ever there.
      device.start();
      await expect.poll(reported).toBe(1);
      desire(2);
      await expect.poll(reported).toBe(2);
      service.request('d1', 'delete', undefined);
      await expect.poll(reported).toBe(2);
      desire(3);
      await expect.poll(reported).toBe(3);
      expect(applied).toEqual([1, 2, 3]);
      expect(device.shadow!.counters).toMatchObject({ refused: 0, rejected: 0, timeouts: 0 });
      device.retire();
    });
  });
});
