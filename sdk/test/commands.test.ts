// Commands and status documents: requests that are right, wrong and hostile; one result each.

import { Encoder } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CborReader, readValue } from '../src/codec/cbor.ts';
import {
  CID_LENGTH_MAX,
  type CommandHandler,
  executeCommand,
  RESULT_SIZE_MAX,
  writeResult,
} from '../src/commands/commands.ts';
import { PowerLoss } from '../src/platform.ts';
import { isOffline, offlineStatus, writeOnlineStatus } from '../src/status.ts';
import { DeviceScene } from './support/device-scene.ts';

const encoder = new Encoder({ mapsAsObjects: true, useRecords: false, tagUint8Array: false });

/** A document as bytes, by cbor-x. */
function encode(value: unknown): Uint8Array {
  return new Uint8Array(encoder.encode(value));
}

function decode(bytes: Uint8Array): Record<string, unknown> {
  return encoder.decode(bytes) as Record<string, unknown>;
}

function scene(commands: Record<string, CommandHandler> = {}): DeviceScene {
  return new DeviceScene({ commands, intervalMs: Number.POSITIVE_INFINITY });
}

function connectedScene(commands: Record<string, CommandHandler> = {}): DeviceScene {
  const one = scene(commands);
  one.connect();
  return one;
}

/** What becomes of a request, in the middle of dirty bytes. */
function execute(one: DeviceScene, request: Uint8Array) {
  const source = new Uint8Array(request.length + 8).fill(0xee);
  source.set(request, 5);
  return executeCommand(one.device, source, 5, 5 + request.length);
}

describe('a command', () => {
  test('ping is answered with pong, once for each request', () => {
    for (const qos of [0, 1, 2] as const) {
      const one = connectedScene();
      one.command(encode({ cid: 'a-1', command: 'ping' }), qos);
      expect(one.documents('commands/a-1/result')).toEqual([{ ok: true, value: 'pong' }]);
      expect(one.device.counters.commands).toBe(1);
    }
  });

  test('a handler gets its argument and the device, and its value comes back', () => {
    const values = [1, -1.5, 'text', true, null, [1, [2]], { a: { b: 1 } }, ''];
    for (const value of values) {
      const seen: unknown[] = [];
      const one = connectedScene({
        echo: (argument, device) => {
          seen.push(argument, device);
          return argument;
        },
      });
      one.command(encode({ cid: 'x', command: 'echo', argument: value }));
      expect(seen).toEqual([value, one.device]);
      expect(one.documents('commands/x/result')).toEqual([{ ok: true, value }]);
    }
  });

  test('no value is no member', () => {
    const one = connectedScene({ nothing: () => undefined });
    one.command(encode({ cid: 'x', command: 'nothing' }));
    expect(one.documents('commands/x/result')).toEqual([{ ok: true }]);
  });

  test('what a handler throws is the reason of the failure', () => {
    const one = connectedScene({
      error: () => {
        throw new RangeError('valve: expected 0-100');
      },
      text: () => {
        throw 'not an Error';
      },
    });
    one.command(encode({ cid: 'e', command: 'error' }));
    one.command(encode({ cid: 't', command: 'text' }));
    expect(one.documents('commands/e/result')).toEqual([
      { ok: false, error: 'valve: expected 0-100' },
    ]);
    expect(one.documents('commands/t/result')).toEqual([{ ok: false, error: 'failed' }]);
  });

  test('a power cut is no failure of the command', () => {
    const one = scene({
      cut: () => {
        throw new PowerLoss();
      },
    });
    expect(() => execute(one, encode({ cid: 'c', command: 'cut' }))).toThrow(PowerLoss);
  });

  test.each(['nope', '', 'constructor', 'toString', '__proto__', 'hasOwnProperty'])(
    'unknown: %j',
    (command) => {
      const outcome = execute(scene(), encode({ cid: 'u', command }));
      expect(outcome).toEqual({ cid: 'u', ok: false, error: `unknown command '${command}'` });
    },
  );

  test('a result that is too large, or too deep, is answered with that', () => {
    const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);
    const ring: unknown[] = [];
    ring.push(ring, ring);
    const results: Record<string, unknown> = {
      text: 'x'.repeat(RESULT_SIZE_MAX),
      scratch: 'x'.repeat(5000),
      deep: deep(20),
      ring,
      error: new Error('x'),
    };
    const commands: Record<string, CommandHandler> = {};
    for (const name of Object.keys(results)) commands[name] = () => results[name];
    const one = connectedScene(commands);
    for (const name of ['text', 'scratch', 'deep', 'ring']) {
      one.command(encode({ cid: name, command: name }));
      expect(one.documents(`commands/${name}/result`)).toEqual([
        { ok: false, error: `result larger than ${RESULT_SIZE_MAX} bytes` },
      ]);
    }
    expect(one.device.counters.dropped).toBe(0);
  });

  test('results up to the limit arrive whole', () => {
    for (let size = RESULT_SIZE_MAX - 30; size <= RESULT_SIZE_MAX; size += 1) {
      const target = new Uint8Array(2048).fill(0xee);
      const end = writeResult(target, { cid: 'c', ok: true, value: 'x'.repeat(size) });
      const bodyAt = 1 + (target[0] as number);
      expect(Buffer.from(target.subarray(1, bodyAt)).toString()).toBe('commands/c/result');
      expect(end - bodyAt).toBeLessThanOrEqual(RESULT_SIZE_MAX);
      // Map 1, "ok" 3, true 1, "value" 6, head of the text 3.
      const fits = 14 + size <= RESULT_SIZE_MAX;
      expect(decode(target.subarray(bodyAt, end)).ok).toBe(fits);
    }
  });

  test('is not answered when nobody could be addressed', () => {
    const long = 'x'.repeat(CID_LENGTH_MAX);
    expect(execute(scene(), encode({ cid: long, command: 'ping' }))?.ok).toBe(true);
    for (const cid of ['', `${long}x`, 'a/b', 'a+', '#', 'a b', 'é', 7, null, ['a']]) {
      expect(execute(scene(), encode({ cid, command: 'ping' }))).toBeUndefined();
    }
    for (const request of [{ command: 'ping' }, [], 'ping', 1, null, new Uint8Array(3)]) {
      expect(execute(scene(), encode(request))).toBeUndefined();
    }
    const one = connectedScene();
    one.command(encode({ command: 'ping' }));
    one.command(Uint8Array.of(0xff));
    one.command(new Uint8Array(0));
    expect(one.device.counters.commandsRefused).toBe(3);
    expect(one.device.counters.commands).toBe(0);
    expect(one.device.isConnected).toBe(true);
  });

  test.each([undefined, 7, null, ['ping']])('a command of %j is refused by name', (command) => {
    const outcome = execute(scene(), encode({ cid: 'c', command }));
    expect(outcome).toEqual({ cid: 'c', ok: false, error: 'command: expected text' });
  });

  test('results wait for a connection, as alarms do', () => {
    let runs = 0;
    const one: DeviceScene = connectedScene({
      cut: () => {
        runs += 1;
        // Not acknowledged, the request comes again.
        if (runs > 1) return runs;
        one.link.refusal = 'no network';
        one.link.cut();
        return runs;
      },
    });
    one.command(encode({ cid: 'c', command: 'cut' }));
    one.world.advance(5000);
    expect(one.device.pendingCount).toBe(1);
    one.link.refusal = undefined;
    one.untilConnected();
    one.world.advance(1000);
    expect(one.documents('commands/c/result')[0]).toEqual({ ok: true, value: 1 });
  });

  test('a handler may disconnect, reconnect or stop its device', () => {
    const actions: Record<string, (one: DeviceScene) => void> = {
      reconnect: ({ device }) => device.reconnect(),
      restart: ({ device }) => {
        device.stop();
        device.start();
      },
    };
    for (const name of Object.keys(actions)) {
      let runs = 0;
      const one: DeviceScene = connectedScene({
        act: () => {
          runs += 1;
          if (runs === 1) actions[name]?.(one);
          return runs;
        },
      });
      one.command(encode({ cid: 'c', command: 'act' }));
      one.world.advance(20_000);
      expect(one.device.isConnected).toBe(true);
      // Not acknowledged, the request came again: at least once.
      expect(one.documents('commands/c/result').length).toBeGreaterThan(0);
      expect(one.broker.violations).toEqual([]);
    }
  });
});

describe('hostile documents', () => {
  test('any bytes: nothing throws, and no handler runs without a whole request', () => {
    let runs = 0;
    const one = scene({ run: () => (runs += 1) });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        execute(one, bytes);
      }),
      { numRuns: 3000 },
    );
    expect(runs).toBe(0);
  });

  test('a request with any bytes changed, cut or put in', () => {
    const valid = encode({ cid: 'c1', command: 'run', argument: { list: [1, 'a', true] } });
    const one = scene({ run: (argument) => argument });
    for (let size = 0; size < valid.length; size += 1) {
      expect(execute(one, valid.subarray(0, size))).toBeUndefined();
    }
    fc.assert(
      fc.property(fc.nat(valid.length - 1), fc.nat(255), fc.nat(3), (at, byte, kind) => {
        const bytes = [...valid];
        if (kind === 0) bytes[at] = byte;
        else if (kind === 1) bytes.splice(at, 0, byte);
        else if (kind === 2) bytes.splice(at, 1);
        else bytes.splice(at, 2, 0x9f, byte);
        const outcome = execute(one, Uint8Array.from(bytes));
        if (outcome === undefined) return;
        const target = new Uint8Array(2048);
        const end = writeResult(target, outcome);
        expect(end).toBeLessThanOrEqual(target.length);
        expect(typeof decode(target.subarray(1 + (target[0] as number), end)).ok).toBe('boolean');
      }),
      { numRuns: 3000 },
    );
  });

  test('depth, count and size are bounded', () => {
    const one = scene({ run: () => 1 });
    const head = '\xa3\x63cid\x61c\x67command\x63run\x68argument';
    const request = (argument: string) => new Uint8Array(Buffer.from(head + argument, 'latin1'));
    expect(execute(one, request(`${'\x81'.repeat(7)}\x01`))?.ok).toBe(true);
    expect(execute(one, request(`${'\x81'.repeat(8)}\x01`))).toBeUndefined();
    expect(execute(one, request('\x81'.repeat(2000)))).toBeUndefined();
    const argument = new Array(100).fill(0);
    expect(execute(one, encode({ cid: 'c', command: 'run', argument }))).toBeUndefined();
    const text = 'x'.repeat(2000);
    expect(execute(one, encode({ cid: 'c', command: 'run', argument: text }))).toBeUndefined();
  });
});

describe('status', () => {
  test('says online, and since when if the time is known', () => {
    const target = new Uint8Array(64).fill(0xee);
    const end = writeOnlineStatus(target, 3, 1_767_225_600_500);
    expect(decode(target.subarray(3, end))).toEqual({ since: 1_767_225_600.5, state: 'online' });
    const short = writeOnlineStatus(target, 3, Number.NaN);
    expect(decode(target.subarray(3, short))).toEqual({ state: 'online' });
    expect(target[2]).toBe(0xee);
  });

  test('offline is told from everything else', () => {
    const offline = offlineStatus();
    expect(decode(offline)).toEqual({ state: 'offline' });
    expect(isOffline(offline, 0, offline.length)).toBe(true);
    const others = [{ state: 'online' }, { state: 1 }, {}, [], 'offline', null, 0];
    for (const other of others) {
      const bytes = encode(other);
      expect(isOffline(bytes, 0, bytes.length)).toBe(false);
    }
    for (let size = 0; size < offline.length; size += 1) {
      expect(isOffline(offline, 0, size)).toBe(false);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const reader = new CborReader();
        reader.reset(bytes, 0, bytes.length);
        const value = readValue(reader, { depthMax: 9, countMax: 99, sizeMax: 99 });
        const says = (value as { state?: unknown } | null | undefined)?.state === 'offline';
        expect(isOffline(bytes, 0, bytes.length)).toBe(says);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('found by these tests', () => {
  test.each([
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a bigint', 1n],
    ['an object with a function', { read: () => 1 }],
  ])('%s is no result, and said to be none', (_, value) => {
    const one = connectedScene({ wrong: () => value });
    one.command(encode({ cid: 'w', command: 'wrong' }));
    expect(one.documents('commands/w/result')).toEqual([
      { ok: false, error: 'result is not data' },
    ]);
    expect(one.device.isConnected).toBe(true);
  });
});
