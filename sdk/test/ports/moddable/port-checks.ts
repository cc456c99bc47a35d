// The Moddable port on fakes of Moddable's modules. It is bundled with them and run in a vm of Node
// and on XS: test/moddable.test.ts.

import { beforeEach, describe, expect, test } from 'vitest';
import { parseUrl } from '../../../ports/moddable/http.ts';
import { ModdablePlatform } from '../../../ports/moddable/platform.ts';
import {
  Device,
  DeviceProfile,
  type HttpHandlers,
  type Partition,
  type Stream,
  type StreamHandlers,
} from '../../../src/index.ts';
import HTTPClient from './fakes/http-client.ts';
import { type FakeSocket, resetWorld, world } from './fakes/world.ts';

beforeEach(resetWorld);

function socket(): FakeSocket {
  return world.sockets[world.sockets.length - 1] as FakeSocket;
}

/** Handlers that note what they are told. */
function notes(): { events: string[]; handlers: StreamHandlers } {
  const events: string[] = [];
  const handlers: StreamHandlers = {
    onWritable(this: Stream, room) {
      events.push(`${this.target} writable ${room}`);
    },
    onReadable(this: Stream, count) {
      events.push(`${this.target} readable ${count}`);
    },
    onError(this: Stream, reason) {
      events.push(`${this.target} error ${reason}`);
    },
  };
  return { events, handlers };
}

describe('a stream', () => {
  function connected() {
    const { events, handlers } = notes();
    const platform = new ModdablePlatform();
    const stream = platform.connect({ host: 'h', port: 1 }, handlers, 'owner');
    socket().open(8);
    return { events, stream };
  }

  test('tells its owner of room and bytes, and no more after close', () => {
    const { events, stream } = connected();
    socket().receive([1, 2, 3]);
    stream.close();
    expect(socket().closed).toBe(true);
    socket().receive([4]);
    socket().end();
    socket().open(9);
    expect(events).toEqual(['owner writable 8', 'owner readable 3']);
    expect(stream.read(new Uint8Array(4), 4)).toBe(0);
  });

  test('never asks for more than waits, and answers 0 when nothing does', () => {
    const { stream } = connected();
    const into = new Uint8Array(16);
    expect(stream.read(into, 16)).toBe(0);
    socket().receive([1, 2, 3]);
    expect(stream.read(into, 2)).toBe(2);
    expect(stream.read(into, 16)).toBe(1);
    expect(stream.read(into, 16)).toBe(0);
    expect([into[0], into[1]]).toEqual([3, 2]);
  });

  test('writes a range and answers the room; beyond the room it throws', () => {
    const { stream } = connected();
    expect(stream.write(new Uint8Array([9, 1, 2, 9]), 1, 3)).toBe(6);
    expect(socket().written).toEqual([[1, 2]]);
    expect(() => stream.write(new Uint8Array(7), 0, 7)).toThrow('would block');
  });

  test('an orderly close is told after all was read, once', () => {
    const { events, stream } = connected();
    socket().receive([1, 2]);
    socket().end();
    expect(events).toHaveLength(2);
    stream.read(new Uint8Array(2), 2);
    expect(events[2]).toBe('owner error connection lost');
    expect(events).toHaveLength(3);
  });

  test('TLS has the name to verify, and the certificates', () => {
    const { handlers } = notes();
    const tls = { ca: 'CA', serverName: 'broker.example' };
    new ModdablePlatform().connect({ host: '10.0.0.1', port: 8883, tls }, handlers, undefined);
    expect(socket().options).toMatchObject({
      host: 'broker.example',
      port: 8883,
      secure: { certificate: 'CA' },
    });
  });
});

describe('time', () => {
  test('goes on when the ticks wrap', () => {
    world.ticks = 0x7ffffff0;
    const { clock } = new ModdablePlatform();
    const start = clock.monotonicMs();
    world.ticks = 0x80000010;
    expect(clock.monotonicMs() - start).toBe(32);
    world.ticks = 0x1_0000_0000 + 5;
    expect(clock.monotonicMs() - start).toBe(0x80000015);
  });

  test('is unknown, then as good as the best estimate, and gets worse', () => {
    const { clock } = new ModdablePlatform();
    expect(clock.epochMs()).toBeNaN();
    clock.adjust(1000, 50);
    clock.adjust(9000, 100);
    expect(clock.epochMs()).toBe(1000);
    world.ticks += 1_000_000;
    expect(clock.epochMs()).toBe(1_001_000);
    expect(clock.epochUncertaintyMs()).toBeCloseTo(70);
    clock.adjust(2_000_000, 60);
    expect(clock.epochMs()).toBe(2_000_000);
  });

  test('comes from a time server, and is asked for again', () => {
    const { clock } = new ModdablePlatform({ timeServer: 'time.example' });
    expect(world.timeRequests[0]?.host).toBe('time.example');
    world.timeRequests[0]?.answer(2);
    world.timeRequests[0]?.answer(-1);
    expect(clock.epochMs()).toBeNaN();
    expect(world.timers[0]?.delayMs).toBe(60_000);
    world.timers[0]?.callback();
    world.timeRequests[1]?.answer(1, 1_767_225_600);
    expect(clock.epochMs()).toBe(1_767_225_600_500);
    expect(clock.epochUncertaintyMs()).toBe(1000);
    expect(world.timers[1]?.delayMs).toBe(6 * 3_600_000);
  });

  test('a timer fires once; a later start replaces it', () => {
    let count = 0;
    const timer = new ModdablePlatform().createTimer({
      onTimer: () => {
        count += 1;
      },
    });
    timer.start(5.2);
    timer.start(Number.MAX_SAFE_INTEGER);
    expect(world.timers.map(({ cleared, delayMs }) => [cleared, delayMs])).toEqual([
      [true, 6],
      [false, 2147483647],
    ]);
    world.timers[1]!.callback();
    timer.stop();
    expect([count, world.timers[1]!.cleared]).toEqual([1, false]);
  });
});

describe('storage', () => {
  test('settings are copies; a missing one is undefined; keys have their limit', () => {
    const { settings } = new ModdablePlatform();
    const value = new Uint8Array([1, 2]);
    settings.set('mqtt.version', value);
    value[0] = 9;
    expect([...settings.get('mqtt.version')!]).toEqual([1, 2]);
    expect(settings.get('other')).toBeUndefined();
    settings.delete('other');
    settings.delete('mqtt.version');
    expect(settings.get('mqtt.version')).toBeUndefined();
    for (const key of ['', 'a'.repeat(16)]) {
      expect(() => settings.set(key, value)).toThrow('1-15 characters');
    }
  });

  test('a partition is read, programmed and erased by addresses', () => {
    world.flashes.set('log', new Uint8Array(8192).fill(0));
    const platform = new ModdablePlatform();
    const log = platform.partition('log') as Partition;
    expect([log.size, log.sectorSize]).toEqual([8192, 4096]);
    log.eraseBlock(4096);
    log.write(4100, new Uint8Array([0, 1, 2, 3, 4, 0]), 1, 5);
    const into = new Uint8Array(6);
    log.read(4099, into);
    expect([...into]).toEqual([255, 1, 2, 3, 4, 255]);
    expect(world.flashes.get('log')![4095]).toBe(0);
    expect(() => log.write(4097, into, 0, 4)).toThrow('units of 4');
    expect(() => log.write(8192, into, 0, 4)).toThrow('past the partition');
    expect(() => log.eraseBlock(1)).toThrow('start of a sector');
    expect(platform.partition('none')).toBeUndefined();
  });
});

describe('firmware', () => {
  test('is there where the flash has a second slot', () => {
    expect(new ModdablePlatform().firmware).toBeUndefined();
    world.flashes.set('nextota', new Uint8Array(4096));
    world.trial = true;
    world.resetReason = 6;
    const { firmware, settings } = new ModdablePlatform();
    expect([firmware!.version, firmware!.trial, firmware!.digest.length]).toEqual([
      '1.2.3',
      true,
      32,
    ]);
    expect(firmware!.bootReason()).toBe('watchdog');
    firmware!.stage();
    firmware!.confirm();
    firmware!.reject('no sensors');
    firmware!.restart();
    expect(world.calls).toEqual(['stage', 'confirm', 'reject', 'restart']);
    expect(String.fromCharCode(...settings.get('reject-reason')!)).toBe('no sensors');
  });
});

describe('the rest', () => {
  test('digests and signatures', () => {
    const { crypto } = new ModdablePlatform();
    const sha256 = crypto.sha256();
    sha256.update(new Uint8Array([0, 97, 98, 99]), 1, 4);
    const digest = new Uint8Array(32);
    sha256.digest(digest);
    // FIPS 180-4, "abc".
    expect([digest[0], digest[1], digest[31]]).toEqual([0xba, 0x78, 0xad]);
    const none = new Uint8Array(64);
    expect(crypto.verify('ed25519', new Uint8Array(32), none, none)).toBe(false);
    expect(crypto.verify('es256', new Uint8Array(65), none, none)).toBe(false);
  });

  test('random numbers are unsigned', () => {
    expect(new ModdablePlatform().random()).toBe(0xfffffffe);
  });

  test('URLs', () => {
    const insecure = { secure: false, host: 'h', port: 8080, path: '/a?b' };
    expect(parseUrl('http://h:8080/a?b')).toEqual(insecure);
    expect(parseUrl('https://h.example')).toMatchObject({ secure: true, port: 443, path: '/' });
    for (const url of [
      '',
      'ftp://h/',
      'http://',
      'http://h:0/',
      'http://h:65536/',
      'http://u@h/',
    ]) {
      expect(() => parseUrl(url)).toThrow('url');
    }
  });

  test('a request sends its headers and body, and reads what was announced', () => {
    const events: string[] = [];
    const handlers: HttpHandlers = {
      onHeaders(status) {
        events.push(`${status} ${this.header('content-length')}`);
      },
      onReadable: (count) => void events.push(`readable ${count}`),
      onDone: (reason) => void events.push(`done ${reason}`),
    };
    const body = new Uint8Array([1, 2, 3]);
    const headers = ['range', 'bytes=0-1'];
    const url = 'http://h/p';
    const options = { method: 'PUT', url, headers, body } as const;
    const request = new ModdablePlatform().http!.request(options, handlers, undefined);
    const client = HTTPClient.last as HTTPClient;
    expect(client.sent!.headers.get('content-length')).toBe('3');
    client.sent!.onWritable!(2);
    client.sent!.onWritable!(2);
    expect(client.body).toEqual([1, 2, 3]);
    client.sent!.onHeaders(206, new Map([['content-length', '2']]));
    client.answer([7, 8]);
    const into = new Uint8Array(8);
    expect([request.read(into, 8), request.read(into, 8), into[1]]).toEqual([2, 0, 8]);
    client.sent!.onDone(null);
    client.sent!.onDone(null);
    expect(events).toEqual(['206 2', 'readable 2', 'done undefined']);
  });

  test('a device connects over it', () => {
    const platform = new ModdablePlatform();
    const profile = new DeviceProfile({
      broker: { host: 'broker', port: 1883 },
      protocol: 5,
      sensors: [{ name: 'temperature', unit: 'Cel', read: () => 21.5 }],
      intervalMs: 1000,
    });
    const device = new Device({ platform, id: 'd1', profile });
    device.start();
    // The attempt may wait for a moment of its own choice.
    for (const timer of world.timers.splice(0)) if (!timer.cleared) timer.callback();
    socket().open(4096);
    expect(socket().written[0]![0]).toBe(0x10);
    socket().receive([0x20, 3, 0, 0, 0]);
    expect(device.isConnected).toBe(true);
    socket().end();
    expect(device.isConnected).toBe(false);
  });
});
