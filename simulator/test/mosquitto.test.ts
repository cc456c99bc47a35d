import { createServer, type Server } from 'node:net';
import mqtt from 'mqtt';
import { describe, expect, test, vi } from 'vitest';
import { hasMosquitto, startMosquitto } from './support/mosquitto.ts';

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!hasMosquitto('starting mosquitto'))('mosquitto', () => {
  test('two run at once, each accepts MQTT, and stop ends them', async () => {
    const brokers = await Promise.all([startMosquitto(), startMosquitto()]);
    expect(brokers[0].port).not.toBe(brokers[1].port);
    for (const broker of brokers) {
      const client = await mqtt.connectAsync(broker.url);
      await client.endAsync();
      const { pid } = broker;
      expect(isAlive(pid)).toBe(true);
      await broker.stop();
      expect(isAlive(pid)).toBe(false);
    }
  });

  test('killed with -9, it comes back on the same port as another process', async () => {
    const broker = await startMosquitto();
    const { pid, port } = broker;
    await broker.kill('SIGKILL');
    expect(isAlive(pid)).toBe(false);
    await broker.restart();
    expect(broker.pid).not.toBe(pid);
    expect(broker.port).toBe(port);
    await (await mqtt.connectAsync(broker.url)).endAsync();
    await broker.stop();
  });

  test('stop ends also one that is paused', async () => {
    const broker = await startMosquitto();
    const { pid } = broker;
    await broker.kill('SIGSTOP');
    await broker.stop();
    expect(isAlive(pid)).toBe(false);
  });

  test('more configuration is read, and a mistake in it is told', async () => {
    const broker = await startMosquitto({ config: 'max_inflight_messages 1' });
    await broker.stop();
    await expect(startMosquitto({ config: 'nonsense yes' })).rejects.toThrow('nonsense');
  });

  test('a port in use is told, and its owner is not taken for the broker', async () => {
    const server: Server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    });
    await expect(startMosquitto({ port })).rejects.toThrow('did not start');
    server.close();
  });
});

describe('without mosquitto', () => {
  test('a test says on one line that it is skipped and how to get it; in CI it fails', () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    const line = 'NOT RUN: outages: needs mosquitto (apt-get install mosquitto)';
    vi.stubEnv('CI', '');
    expect(hasMosquitto('outages', false)).toBe(false);
    expect(log.mock.calls).toEqual([[line]]);
    vi.stubEnv('CI', 'true');
    expect(() => hasMosquitto('outages', false)).toThrow(line);
    log.mockRestore();
    vi.unstubAllEnvs();
  });
});
