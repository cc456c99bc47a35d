// The port's parts, in the bundle, on a stripped engine with fakes of Storage, Flash and the clock.

import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Platform, StreamHandlers } from '../../sdk/src/platform.ts';
import { LoopbackBroker } from './loopback-broker.ts';
import { StrippedEngine } from './stripped-engine.ts';

/** What takes this long hangs, also on a machine with much else to do. */
const HANG_MS = 300000;

/** The checks of the port in the bundle that `codeOf` has when they run. */
export function describePort(codeOf: () => string): void {
  let engine: StrippedEngine;
  let platform: Platform;

  function start(options = ''): Platform {
    return engine.run(`new (require('flotilla').EspruinoPlatform)(${options})`) as Platform;
  }

  beforeEach(() => {
    engine = new StrippedEngine();
    engine.install('flotilla', codeOf());
    platform = start();
  });

  function settingOf(key: string): number[] | undefined {
    const value = platform.settings.get(key);
    return value === undefined ? undefined : Array.from({ ...value, length: value.length });
  }

  describe('settings', () => {
    test('are as a map, over every sequence of operations and restarts', () => {
      const key = fc.constantFrom('a', 'b.c', 'x'.repeat(15));
      const operation = fc.record({
        key,
        value: fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined }),
        restarts: fc.boolean(),
      });
      fc.assert(
        fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
          const model = new Map<string, number[]>();
          engine.storage.files.clear();
          for (const { key: name, value, restarts } of operations) {
            if (value === undefined) {
              platform.settings.delete(name);
              model.delete(name);
            } else {
              platform.settings.set(name, value);
              model.set(name, [...value]);
            }
            if (restarts) platform = start();
            for (const each of ['a', 'b.c', 'x'.repeat(15)]) {
              expect(settingOf(each)).toEqual(model.get(each));
            }
          }
        }),
        { numRuns: 60 },
      );
    });

    test('hold the old or the new value after a power cut in any write of a set or a delete', () => {
      const steps: (() => void)[] = [
        () => platform.settings.set('k', Uint8Array.of(1)),
        () => platform.settings.set('k', Uint8Array.of(2, 2)),
        () => platform.settings.set('k', Uint8Array.of(3, 3, 3)),
        () => platform.settings.delete('k'),
        () => platform.settings.set('k', Uint8Array.of(4)),
        () => platform.settings.delete('k'),
      ];
      const after = [undefined, [1], [2, 2], [3, 3, 3], undefined, [4], undefined];
      let cuts = 0;
      steps.forEach((step, index) => {
        for (let writes = 0; ; writes += 1) {
          engine.storage.files.clear();
          engine.storage.writesLeft = Number.POSITIVE_INFINITY;
          for (let before = 0; before < index; before += 1) steps[before]?.();
          engine.storage.writesLeft = writes;
          let isCut = false;
          try {
            step();
          } catch {
            isCut = true;
          }
          engine.storage.writesLeft = Number.POSITIVE_INFINITY;
          platform = start();
          expect([after[index], after[index + 1]]).toContainEqual(settingOf('k'));
          // And what comes next works, whatever was left behind.
          platform.settings.set('k', Uint8Array.of(9));
          expect(settingOf('k')).toEqual([9]);
          if (!isCut) break;
          cuts += 1;
        }
      });
      expect(cuts).toBe(10);
    });

    test('a flipped bit in the newer file brings back the older value', () => {
      platform.settings.set('k', Uint8Array.of(1));
      platform.settings.set('k', Uint8Array.of(2));
      const [name, data] = [...engine.storage.files].at(-1) as [string, string];
      for (let bit = 0; bit < data.length * 8; bit += 1) {
        const bytes = Buffer.from(data, 'latin1');
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        engine.storage.files.set(name, bytes.toString('latin1'));
        expect(settingOf('k')).toEqual([1]);
      }
    });

    test('names fit Storage, wrong keys and a full Storage are told', () => {
      expect(() => platform.settings.set('x'.repeat(16), Uint8Array.of(1))).toThrow('1-15');
      expect(() => platform.settings.get('')).toThrow('1-15');
      engine.storage.isFull = true;
      expect(() => platform.settings.set('k', Uint8Array.of(1))).toThrow("no room for 'k'");
    });
  });

  describe('a partition', () => {
    test('reads, programs and erases its own pages only', () => {
      platform = start('{ partitions: { log: { address: 4096, size: 8192 } } }');
      const log = platform.partition('log')!;
      expect(platform.partition('toString')).toBeUndefined();
      expect([log.size, log.sectorSize, log.writeAlignment, log.erasedValue]).toEqual([
        8192, 4096, 4, 255,
      ]);
      log.write(4092, Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8), 1, 9);
      expect([...engine.flash.bytes.slice(8188, 8196)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      const into = new Uint8Array(8);
      log.read(4092, into);
      expect([...into]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      log.eraseBlock(4096);
      log.read(4092, into);
      expect([...into]).toEqual([1, 2, 3, 4, 255, 255, 255, 255]);
      expect(() => log.read(8188, into)).toThrow('past the partition');
      expect(() => log.write(8192, into, 0, 4)).toThrow('past the partition');
      expect(() => log.write(2, into, 0, 4)).toThrow('units of 4');
      expect(() => log.eraseBlock(8192)).toThrow('past the partition');
    });

    test.each(['address: 1, size: 4096', 'address: 0, size: 100', 'address: 65536, size: 4096'])(
      'of %s is no range of whole pages',
      (range) => {
        platform = start(`{ partitions: { log: { ${range} } } }`);
        expect(() => platform.partition('log')).toThrow('whole pages');
      },
    );
  });

  describe('the clock', () => {
    test('never steps back, whatever the engine does', () => {
      engine.timeS = 100;
      expect(platform.clock.monotonicMs()).toBe(100000);
      engine.timeS = 5;
      expect(platform.clock.monotonicMs()).toBe(100000);
      engine.timeS = 6;
      expect(platform.clock.monotonicMs()).toBe(101000);
    });

    test('knows no time before it was set, then the better of engine and estimate', () => {
      const { clock } = platform;
      engine.timeS = 10;
      expect(clock.epochMs()).toBeNaN();
      expect(clock.epochUncertaintyMs()).toBe(Number.POSITIVE_INFINITY);
      clock.adjust(1764000000000, 500);
      engine.timeS = 20;
      expect(clock.epochMs()).toBe(1764000010000);
      // 100 ppm of ten seconds.
      expect(clock.epochUncertaintyMs()).toBeCloseTo(501, 6);
      clock.adjust(5, 501.5);
      clock.adjust(Number.NaN, 1);
      expect(clock.epochMs()).toBe(1764000010000);
      clock.adjust(1764000011000, 100);
      expect(clock.epochMs()).toBe(1764000011000);
    });

    test('takes an engine whose clock was set at its word', () => {
      engine.timeS = 1764000000;
      expect(platform.clock.epochMs()).toBe(1764000000000);
      expect(platform.clock.epochUncertaintyMs()).toBe(2000);
    });
  });

  describe('the rest of the platform', () => {
    test('digests by the native SHA-256, in parts, up to its bound', () => {
      const hash = platform.crypto.sha256();
      hash.update(new TextEncoder().encode('xab'), 1, 3);
      hash.update(new TextEncoder().encode('c'), 0, 1);
      const digest = new Uint8Array(32);
      hash.digest(digest);
      // FIPS 180-2 appendix B.1.
      expect(Buffer.from(digest).toString('hex')).toBe(
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      );
      expect(() => platform.crypto.sha256().update(new Uint8Array(4097), 0, 4097)).toThrow('4096');
    });

    test('verifies nothing, because it can verify nothing', () => {
      const none = new Uint8Array(0);
      expect(platform.crypto.verify('ed25519', none, none, none)).toBe(false);
    });

    test('random numbers are unsigned', () => {
      for (let index = 0; index < 100; index += 1) {
        const value = platform.random();
        expect(value >= 0 && value <= 4294967295 && Number.isInteger(value)).toBe(true);
      }
    });
  });

  /** Opens a stream; `events` grows with what happens to it. */
  function open(port: number, events: string[], tls?: { verify?: boolean }) {
    const handlers: StreamHandlers = {
      onWritable: (room) => events.push(`writable ${room}`),
      onReadable: (count) => events.push(`readable ${count}`),
      onError: (reason) => events.push(`error ${reason}`),
    };
    return platform.connect({ host: '127.0.0.1', port, ...(tls && { tls }) }, handlers, undefined);
  }

  async function happened(events: readonly string[], what: RegExp): Promise<void> {
    const endMs = performance.now() + HANG_MS;
    while (!events.some((event) => what.test(event))) {
      if (performance.now() > endMs) throw new Error(`no ${what} in ${events.join(', ')}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  describe('a stream', () => {
    test('refuses TLS that would verify nothing, unless that is accepted', async () => {
      const events: string[] = [];
      open(1, events, {});
      expect(events).toEqual([]);
      await happened(events, /^error TLS: Espruino verifies no certificate/);
    });

    test('tells a refused connection', async () => {
      const broker = await LoopbackBroker.start();
      const { port } = broker;
      await broker.close();
      const events: string[] = [];
      open(port, events);
      await happened(events, /^error .*REFUSED/);
    });

    test('is read in parts of any size, and ends after its last byte', async () => {
      const broker = await LoopbackBroker.start();
      const events: string[] = [];
      const stream = open(broker.port, events);
      await happened(events, /^writable/);
      broker.publish('topic', 'first');
      broker.publish('topic', 'second');
      await happened(events, /^readable 35$/);
      await broker.close();
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(events.some((event) => event.startsWith('error'))).toBe(false);
      const bytes: number[] = [];
      const into = new Uint8Array(5);
      for (let count = stream.read(into, 5); count > 0; count = stream.read(into, 5)) {
        bytes.push(...into.subarray(0, count));
      }
      const text = Buffer.from(bytes).toString('latin1');
      expect(text).toBe('2\x0f\0\x05topic\0\x01efirst2\x10\0\x05topic\0\x02fsecond');
      await happened(events, /^error undefined$/);
    });

    test('bounds what waits to be written, and tells when it is sent', async () => {
      const broker = await LoopbackBroker.start();
      const events: string[] = [];
      const stream = open(broker.port, events);
      await happened(events, /^writable 2048$/);
      const half = new Uint8Array(1024);
      expect(stream.write(half, 0, 1024)).toBe(1024);
      expect(stream.write(half, 0, 1000)).toBe(24);
      expect(() => stream.write(half, 0, 25)).toThrow('past the room');
      stream.close();
      expect(() => stream.write(half, 0, 1)).not.toThrow();
      await broker.close();
    });
  });
}
