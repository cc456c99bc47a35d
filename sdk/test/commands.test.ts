// Commands and status documents: requests that are right, wrong and hostile; one result each.

import { Encoder } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CborReader, readValue } from '../src/codec/cbor.ts';
import {
  COMMAND_MS_MAX,
  COMMANDS_RECENT_MAX,
  COMMANDS_RUNNING_MAX,
  CORRELATION_SIZE_MAX,
  type CommandCall,
  type CommandHandler,
  Commands,
  LATER,
  RESPONSE_TOPIC_SIZE_MAX,
} from '../src/commands/commands.ts';
import {
  CID_LENGTH_MAX,
  RESULT_SIZE_MAX,
  resultBody,
  writeResult,
} from '../src/commands/result.ts';
import type { Device } from '../src/device.ts';
import { Packet, type PublishFields } from '../src/mqtt/packet.ts';
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

/** What becomes of a request, in the middle of dirty bytes; undefined = it is not answered. */
function execute(one: DeviceScene, request: Uint8Array) {
  const source = new Uint8Array(request.length + 8).fill(0xee);
  source.set(request, 5);
  const packet = new Packet();
  packet.payloadStart = 5;
  packet.payloadEnd = 5 + request.length;
  let result: Record<string, unknown> | undefined;
  const { platform, profile, counters } = one.device;
  const { scratch } = platform.memory;
  const sendResult = (size: number) => {
    expect(size).toBeLessThanOrEqual(scratch.length);
    result = decode(scratch.subarray(resultBody(scratch, 0), size));
  };
  new Commands({ platform, profile, counters, sendResult } as unknown as Device).receive(
    packet,
    source,
  );
  return result;
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
      expect(outcome).toEqual({ ok: false, error: `unknown command '${command}'` });
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
      const end = writeResult(target, { cid: 'c' }, true, 'x'.repeat(size));
      const bodyAt = resultBody(target, 0);
      expect(Buffer.from(target.subarray(2, bodyAt)).toString()).toBe('commands/c/result');
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
    expect(outcome).toEqual({ ok: false, error: 'command: expected text' });
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

describe('commands that last', () => {
  test('are answered when they have finished, or failed', () => {
    const calls: CommandCall[] = [];
    const one = connectedScene({
      slow: (_argument, _device, call) => {
        calls.push(call);
        return LATER;
      },
    });
    one.command(encode({ cid: 'a', command: 'slow' }));
    one.command(encode({ cid: 'b', command: 'slow' }));
    expect(one.documents('commands/a/result')).toEqual([]);
    one.turn(() => calls[1]?.fail('stuck'));
    one.turn(() => calls[0]?.finish(7));
    one.turn(() => calls[0]?.finish(8));
    one.world.advance(20);
    expect(one.documents('commands/a/result')).toEqual([{ ok: true, value: 7 }]);
    expect(one.documents('commands/b/result')).toEqual([{ ok: false, error: 'stuck' }]);
  });

  test('are bounded in number and in time', () => {
    const one = connectedScene({ slow: () => LATER });
    for (let index = 0; index <= COMMANDS_RUNNING_MAX; index += 1) {
      one.command(encode({ cid: `c${index}`, command: 'slow' }));
    }
    const last = `commands/c${COMMANDS_RUNNING_MAX}/result`;
    expect(one.documents(last)).toEqual([{ ok: false, error: 'busy' }]);
    one.command(encode({ cid: 'ping', command: 'ping' }));
    expect(one.documents('commands/ping/result')).toHaveLength(1);
    one.world.advance(COMMAND_MS_MAX - 1000);
    expect(one.documents('commands/c0/result')).toEqual([]);
    one.world.advance(1100);
    for (let index = 0; index < COMMANDS_RUNNING_MAX; index += 1) {
      expect(one.documents(`commands/c${index}/result`)).toEqual([
        { ok: false, error: 'timed out' },
      ]);
    }
  });
});

describe('a second copy of a command', () => {
  test('is not carried out, as long as it is remembered', () => {
    let runs = 0;
    const one = connectedScene({ run: () => (runs += 1) });
    for (let copy = 0; copy < 3; copy += 1) one.command(encode({ cid: 'a', command: 'run' }));
    expect([runs, one.device.counters.commandsRepeated]).toEqual([1, 2]);
    expect(one.documents('commands/a/result')).toEqual([{ ok: true, value: 1 }]);
    for (let other = 1; other < COMMANDS_RECENT_MAX; other += 1) {
      one.command(encode({ cid: `o${other}`, command: 'ping' }));
    }
    one.command(encode({ cid: 'a', command: 'run' }));
    expect(runs).toBe(1);
    one.command(encode({ cid: 'one more', command: 'ping' }));
    one.command(encode({ cid: 'last', command: 'ping' }));
    one.command(encode({ cid: 'a', command: 'run' }));
    expect(runs).toBe(2);
  });
});

describe('a command with an expiry', () => {
  const NOW_S = 1_767_225_600;
  const timed = (uncertaintyMs: number) =>
    new DeviceScene(
      { intervalMs: Number.POSITIVE_INFINITY },
      { epochMs: NOW_S * 1000, uncertaintyMs },
    );

  test.each([
    [0, -1, 'expired'],
    [0, 1, undefined],
    [5000, -4, undefined],
    [5000, -6, 'expired'],
  ])('clock to within %d ms, %d s from now: %s', (uncertaintyMs, inS, error) => {
    const expires = NOW_S + inS;
    const result = execute(timed(uncertaintyMs), encode({ cid: 'e', command: 'ping', expires }));
    expect(result?.error).toBe(error);
  });

  test('is carried out where the time is not known', () => {
    expect(execute(scene(), encode({ cid: 'e', command: 'ping', expires: 1 }))?.ok).toBe(true);
  });
});

describe('a request with a Response Topic (MQTT 5 §4.10)', () => {
  function request(one: DeviceScene, document: unknown, fields: Partial<PublishFields>): void {
    one.broker.publish({
      topic: 'devices/d1/commands',
      payload: encode(document),
      qos: 1,
      retain: false,
      ...fields,
    });
    one.world.advance(20);
  }

  const answers = (one: DeviceScene, topic: string) =>
    one.broker.taken
      .filter((message) => message.topic === topic)
      .map(({ correlation, payload }) => [correlation && [...correlation], decode(payload)]);

  test('is answered there, with its Correlation Data', () => {
    const one = connectedScene();
    const correlation = Uint8Array.of(0, 255, 7);
    request(one, { command: 'ping' }, { responseTopic: 'answers/x', correlation });
    expect(answers(one, 'answers/x')).toEqual([[[0, 255, 7], { ok: true, value: 'pong' }]]);
    request(one, { cid: 'c', command: 'ping' }, { responseTopic: 'answers/y' });
    expect(answers(one, 'answers/y')).toEqual([[undefined, { ok: true, value: 'pong' }]]);
    expect(one.broker.violations).toEqual([]);
  });

  test('is told from another by its Correlation Data', () => {
    const one = connectedScene();
    for (const byte of [1, 2, 1]) {
      const correlation = Uint8Array.of(byte);
      request(one, { command: 'ping' }, { responseTopic: 'answers', correlation });
    }
    expect(answers(one, 'answers').map(([correlation]) => correlation)).toEqual([[1], [2]]);
  });

  test('is refused where it could not be told from another, or its answer not be held', () => {
    const one = connectedScene();
    request(one, { command: 'ping' }, { responseTopic: 'answers' });
    const correlation = new Uint8Array(CORRELATION_SIZE_MAX + 1);
    request(one, { command: 'ping' }, { responseTopic: 'answers', correlation });
    const long = 'x'.repeat(RESPONSE_TOPIC_SIZE_MAX + 1);
    request(one, { command: 'ping' }, { responseTopic: long, correlation: Uint8Array.of(1) });
    expect(one.device.counters.commandsRefused).toBe(3);
    expect(one.device.isConnected).toBe(true);
  });

  test('waits with its address for a connection, also one of 3.1.1', () => {
    let call: CommandCall | undefined;
    const slow: CommandHandler = (_argument, _device, own) => {
      call = own;
      return LATER;
    };
    const one = connectedScene({ slow });
    const correlation = Uint8Array.of(9);
    request(one, { command: 'slow' }, { responseTopic: 'answers', correlation });
    one.cut();
    one.turn(() => call?.finish('done'));
    one.untilConnected();
    one.world.advance(1000);
    expect(answers(one, 'answers')).toEqual([[[9], { ok: true, value: 'done' }]]);
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
        const result = execute(one, Uint8Array.from(bytes));
        if (result !== undefined) expect(typeof result.ok).toBe('boolean');
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
