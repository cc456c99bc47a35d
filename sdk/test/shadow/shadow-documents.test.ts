// Documents: those of AWS as its guide shows them, and those that nobody should send.

import { encode } from 'cbor-x';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TopicTemplate } from '../../src/mqtt/topic-template.ts';
import { jsonCodec } from '../../src/shadow/json-codec.ts';
import { SHADOW_TOPICS } from '../../src/shadow/shadow.ts';
import { KEY_COUNT_MAX, ShadowProfile } from '../../src/shadow/shadow-profile.ts';
import { ShadowScene } from '../support/shadow-scene.ts';

/** The names below `$aws/things/myLightBulb/shadow/` that the device knows. */
function nameOf(topic: string): string {
  const template = new TopicTemplate('$aws/things/{id}/{topic}');
  const name = SHADOW_TOPICS.find(
    (one) => template.format('myLightBulb', `shadow/${one}`) === topic,
  );
  if (name === undefined) throw new Error(`no topic of the shadow: ${topic}`);
  return name;
}

describe('documents of AWS, on its topics', () => {
  const seen: unknown[] = [];
  const options = {
    json: true,
    codec: jsonCodec,
    handlers: { color: (value: unknown) => void seen.push(value) },
  };

  /** A document of the service, as text. */
  function receive(scene: ShadowScene, topic: string, text: string): void {
    expect(scene.inject(nameOf(topic), new Uint8Array(Buffer.from(text)))).toBe(true);
  }

  function lastToken(scene: ShadowScene): string {
    return scene.requests.at(-1)?.document.clientToken as string;
  }

  test('a light bulb is asked to turn red, and then green', () => {
    const scene = new ShadowScene(options);
    scene.fateUp = () => 0;
    const base = '$aws/things/myLightBulb/shadow';
    scene.shadow.declare('color', 'blue');
    scene.connect();
    expect(scene.requests[0]?.name).toBe('get');
    expect(Object.keys(scene.requests[0]?.document ?? {})).toEqual(['clientToken']);

    receive(
      scene,
      `${base}/get/accepted`,
      `{
        "state": {
          "desired": { "color": "RED", "power": "ON" },
          "reported": { "color": "GREEN", "engine": "ON" },
          "delta": { "color": "RED", "power": "ON" }
        },
        "metadata": {
          "desired": { "color": { "timestamp": 1469564492 }, "power": { "timestamp": 1469564492 } },
          "reported": { "color": { "timestamp": 1469564492 }, "engine": { "timestamp": 1469564492 } }
        },
        "version": 10,
        "timestamp": 1469564530,
        "clientToken": "${lastToken(scene)}"
      }`,
    );
    expect(seen).toEqual(['RED']);
    expect(scene.shadow.version).toBe(10);
    expect(scene.requests[1]).toEqual({
      name: 'update',
      document: { state: { reported: { color: 'RED' } }, clientToken: lastToken(scene) },
    });
    expect(scene.times[0]?.[0]).toBe(1469564530500);

    receive(
      scene,
      `${base}/update/accepted`,
      `{"state":{"reported":{"color":"RED"}},
        "metadata":{"reported":{"color":{"timestamp":1469564532}}},
        "version":11,"timestamp":1469564532,"clientToken":"${lastToken(scene)}"}`,
    );
    expect(scene.shadow.isSettled).toBe(true);

    receive(
      scene,
      `${base}/update/delta`,
      `{"version":12,"timestamp":1469564576,"state":{"color":"GREEN","power":"ON"},
        "metadata":{"color":{"timestamp":1469564576},"power":{"timestamp":1469564492}}}`,
    );
    expect(seen).toEqual(['RED', 'GREEN']);

    // A person turns it to white before the answer: an edit, based on version 12.
    receive(
      scene,
      `${base}/update/accepted`,
      `{"state":{"reported":{"color":"GREEN"}},"metadata":{},"version":13,
        "timestamp":1469564577,"clientToken":"${lastToken(scene)}"}`,
    );
    scene.report('color', 'WHITE');
    expect(scene.requests.at(-1)?.document).toEqual({
      state: { reported: { color: 'WHITE' }, desired: { color: 'WHITE' } },
      clientToken: lastToken(scene),
      version: 13,
    });
    receive(
      scene,
      `${base}/update/rejected`,
      `{"code":409,"message":"Version conflict","timestamp":1469564580,
        "clientToken":"${lastToken(scene)}"}`,
    );
    scene.run(2000);
    expect(scene.requests.at(-1)?.name).toBe('get');
    expect(scene.shadow.counters.refused).toBe(0);
  });

  test('get/rejected 404 as AWS words it', () => {
    const scene = new ShadowScene(options);
    scene.fateUp = () => 0;
    scene.shadow.declare('color', 'blue');
    scene.connect();
    receive(
      scene,
      '$aws/things/myLightBulb/shadow/get/rejected',
      `{"code":404,"message":"No shadow exists with name: 'myLightBulb'",
        "timestamp":1469564580,"clientToken":"${lastToken(scene)}"}`,
    );
    expect(scene.requests.at(-1)?.document.state).toEqual({ reported: { color: 'blue' } });
  });

  test('a whole session with a service that speaks JSON', () => {
    const scene = ShadowScene.online({ json: true, codec: jsonCodec });
    scene.desire({ a: { ünï: [1, 2.5, 'x"\\\n', null, true], nested: { deep: 1e-7 } } });
    scene.run(10_000);
    expect(scene.reported).toEqual(scene.desired);
    expect(scene.shadow.counters.refused).toBe(0);
  });
});

interface Hostile {
  readonly title: string;
  readonly document: unknown;
}

const deep = (levels: number): unknown => (levels === 0 ? 1 : { x: deep(levels - 1) });

/** By topic; `TOKEN` stands for that of the request under way. */
const HOSTILE: { readonly [name: string]: readonly Hostile[] } = {
  'get/accepted': [
    { title: 'no object', document: [1] },
    { title: 'nothing in it', document: {} },
    { title: 'no version', document: { state: {}, clientToken: 'TOKEN' } },
    { title: 'version as text', document: { state: {}, version: '1', clientToken: 'TOKEN' } },
    { title: 'version -1', document: { state: {}, version: -1, clientToken: 'TOKEN' } },
    { title: 'version 1.5', document: { state: {}, version: 1.5, clientToken: 'TOKEN' } },
    { title: 'state null', document: { state: null, version: 1, clientToken: 'TOKEN' } },
    { title: 'state a list', document: { state: [], version: 1, clientToken: 'TOKEN' } },
    {
      title: 'desired a number',
      document: { state: { desired: 1 }, version: 1, clientToken: 'TOKEN' },
    },
    {
      title: 'reported a text',
      document: { state: { reported: 'x' }, version: 1, clientToken: 'TOKEN' },
    },
    {
      title: 'too deep',
      document: { state: { desired: { a: deep(20) } }, version: 1, clientToken: 'TOKEN' },
    },
    {
      title: 'too large',
      document: { state: { desired: { a: 'x'.repeat(1100) } }, version: 1, clientToken: 'TOKEN' },
    },
    {
      title: 'too many values',
      document: { state: { desired: { a: new Array(300).fill(1) } }, version: 1 },
    },
  ],
  'update/delta': [
    { title: 'no state', document: { version: 9 } },
    { title: 'state a text', document: { state: 'x', version: 9 } },
    { title: 'version missing', document: { state: { a: 1 } } },
    { title: 'version null', document: { state: { a: 1 }, version: null } },
  ],
  'update/accepted': [
    { title: 'no state', document: { version: 9, clientToken: 'TOKEN' } },
    { title: 'reported a list', document: { state: { reported: [] }, version: 9 } },
  ],
  'get/rejected': [
    { title: 'no code', document: { clientToken: 'TOKEN' } },
    { title: 'code as text', document: { code: '404', clientToken: 'TOKEN' } },
  ],
  'update/rejected': [{ title: 'no code', document: { message: 'x', clientToken: 'TOKEN' } }],
};

describe.each([
  ['CBOR', {}],
  ['JSON', { json: true, codec: jsonCodec }],
] as const)('hostile documents in %s', (_, options) => {
  for (const [name, documents] of Object.entries(HOSTILE)) {
    test.each(documents)(`${name}: $title is refused and counted`, ({ document }) => {
      const scene = new ShadowScene(options);
      scene.fateUp = () => 0;
      scene.connect();
      const token = scene.requests[0]?.document.clientToken;
      const text = JSON.stringify(document).replace('TOKEN', `${token}`);
      scene.inject(name, scene.encode(JSON.parse(text)));
      expect(scene.shadow.counters.refused).toBe(1);
      expect(scene.applied).toEqual([]);
      expect(scene.shadow.state).toBe('getting');
      expect(scene.shadow.version).toBe(0);
    });
  }

  test('odd metadata does no harm', () => {
    for (const metadata of [null, 1, 'x', [], { desired: 1 }, { desired: { a: 'x' } }, { a: -5 }]) {
      const scene = new ShadowScene(options);
      scene.fateUp = () => 0;
      scene.connect();
      const clientToken = scene.requests[0]?.document.clientToken;
      const document = { state: { desired: { a: 1 } }, metadata, version: 3, clientToken };
      scene.inject('get/accepted', scene.encode(document));
      expect(scene.applied).toEqual(['a=1']);
      const delta = { state: { a: 2 }, metadata, version: 4 };
      scene.inject('update/delta', scene.encode(delta));
      expect(scene.applied).toEqual(['a=1', 'a=2']);
    }
  });

  test('every truncation and every changed byte of a document', () => {
    const scene = ShadowScene.online(options);
    scene.desire({ a: 1, b: { x: [1, 'y'] } });
    scene.run(10_000);
    const delta = { state: { a: 7, b: { x: 1 } }, metadata: { a: { timestamp: 5 } }, version: 99 };
    const bytes = scene.encode(delta);
    for (let size = 0; size < bytes.length; size += 1) {
      scene.inject('update/delta', bytes.subarray(0, size));
    }
    expect(scene.shadow.counters.refused).toBe(bytes.length);
    scene.fateUp = () => 0;
    for (let at = 0; at < bytes.length; at += 1) {
      for (const mask of [1, 0x20, 0x80, 0xff]) {
        const wrong = bytes.slice();
        wrong[at] = (wrong[at] as number) ^ mask;
        for (const name of SHADOW_TOPICS) scene.inject(name, wrong);
      }
    }
    scene.fateUp = () => 1;
    scene.disconnect();
    scene.connect();
    scene.run(60_000);
    expect(scene.model.delta).toEqual({});
  });

  test('random bytes and random documents never throw', () => {
    const scene = ShadowScene.online(options);
    const name = fc.constantFrom(...SHADOW_TOPICS);
    const part = fc.dictionary(fc.constantFrom('a', 'b', 'toString', 'x'), fc.jsonValue());
    const document = fc.record(
      {
        state: fc.oneof(fc.jsonValue(), part, fc.record({ desired: part, reported: part })),
        metadata: fc.jsonValue(),
        version: fc.oneof(fc.integer(), fc.jsonValue()),
        code: fc.oneof(fc.constantFrom(404, 409, 500), fc.jsonValue()),
        clientToken: fc.string(),
      },
      { requiredKeys: [] },
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      document.map((one) => scene.encode(one)),
    );
    fc.assert(
      fc.property(name, bytes, fc.boolean(), (topic, message, answers) => {
        scene.inject(topic, message);
        if (answers) scene.run(100);
      }),
      { numRuns: 2000 },
    );
    scene.disconnect();
    scene.connect();
    scene.run(60_000);
    expect(scene.shadow.isSettled).toBe(true);
  });

  test('what comes while offline, and other topics, are left alone', () => {
    const scene = ShadowScene.online(options);
    expect(scene.inject('update/documents', scene.encode({}))).toBe(false);
    scene.disconnect();
    expect(scene.inject('update/delta', scene.encode({ state: { a: 1 }, version: 9 }))).toBe(true);
    expect(scene.applied).toEqual([]);
  });
});

test('__proto__ pollutes nothing', () => {
  for (const json of [false, true]) {
    const scene = ShadowScene.online(json ? { json, codec: jsonCodec } : {});
    const text = '{"state":{"a":{"__proto__":{"polluted":1}}},"version":9}';
    // cbor-x leaves the key out: it is written by hand.
    const cbor = encode({ state: { a: { __prXto__: { polluted: 1 } } }, version: 9 });
    const at = cbor.indexOf('__prXto__');
    if (at >= 0) cbor[at + 4] = 0x6f;
    scene.inject('update/delta', new Uint8Array(json ? Buffer.from(text) : cbor));
    expect(scene.shadow.counters.refused).toBe(1);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  }
});

test('values that only CBOR can say are refused', () => {
  for (const value of [undefined, Number.NaN, Infinity, new Uint8Array(3), new Date(0)]) {
    const scene = ShadowScene.online();
    scene.inject('update/delta', scene.encode({ state: { a: value }, version: 9 }));
    expect(scene.shadow.counters.refused).toBe(1);
    expect(scene.applied).toEqual([]);
  }
});

describe('bounds', () => {
  test('keys: no more than KEY_COUNT_MAX, counted', () => {
    const scene = ShadowScene.online();
    for (let index = 0; index < KEY_COUNT_MAX; index += 1) {
      expect(scene.report(`k${index}`, index)).toBe(true);
    }
    expect(scene.report('more', 1)).toBe(false);
    expect(scene.shadow.counters.overflows).toBe(1);
    scene.run(10_000);
    expect(Object.keys(scene.reported ?? {})).toHaveLength(KEY_COUNT_MAX);
    scene.desire({ a: 1 });
    scene.run(10_000);
    expect(scene.applied).toEqual([]);
    expect(scene.shadow.counters.overflows).toBeGreaterThan(1);
  });

  test.each<[string, unknown]>([
    ['no data', () => 1],
    ['undefined', undefined],
    ['NaN', Number.NaN],
    ['too large', 'x'.repeat(170)],
    ['too deep', deep(7)],
    ['__proto__', JSON.parse('{"__proto__":1}')],
    ['an instance', new Date(0)],
  ])('a value that is %s is not taken', (_, value) => {
    const scene = ShadowScene.online();
    expect(scene.report('a', value as never)).toBe(false);
    expect(scene.shadow.declare('b', value as never)).toBe(false);
    expect(scene.shadow.counters.overflows).toBe(2);
    expect(scene.shadow.valueOf('a')).toBeUndefined();
  });

  test('a value that holds itself is not taken', () => {
    const loop: Record<string, unknown> = {};
    loop.loop = [loop, loop, loop];
    expect(ShadowScene.online().report('a', loop as never)).toBe(false);
  });

  test('more than fits one document goes out in several', () => {
    for (const json of [false, true]) {
      const scene = ShadowScene.online(json ? { json, codec: jsonCodec } : {});
      scene.disconnect();
      const text = 'x'.repeat(45);
      for (let index = 0; index < 10; index += 1) {
        expect(scene.report(`key-${index}`, text)).toBe(true);
      }
      expect(scene.report('key-10', text)).toBe(false);
      scene.connect();
      scene.run(60_000);
      expect(Object.keys(scene.reported ?? {})).toHaveLength(10);
      const updates = scene.requests.filter(({ name }) => name === 'update');
      expect(updates).toHaveLength(2);
      for (const { document } of updates) {
        expect(scene.encode(document).length).toBeLessThanOrEqual(512);
      }
      expect(scene.shadow.counters.timeouts).toBe(0);
    }
  });

  test('a value that its codec cannot fit is given up and counted', () => {
    const scene = ShadowScene.online({ json: true, codec: jsonCodec, documentSizeMax: 512 });
    // Six bytes each in JSON.
    scene.report('a', '\u0001'.repeat(80));
    scene.report('b', 1);
    scene.run(60_000);
    expect(scene.reported).toEqual({ b: 1 });
    expect(scene.shadow.counters.overflows).toBe(1);
  });

  test.each<[string, unknown]>([
    ['handlers', { handlers: { '': () => undefined } }],
    ['handlers', { handlers: JSON.parse('{"__proto__":1}') }],
    ['handlers', { handlers: { ['k'.repeat(129)]: () => undefined } }],
    [
      'handlers',
      {
        handlers: Object.fromEntries(
          Array.from({ length: KEY_COUNT_MAX + 1 }, (_, index) => [`k${index}`, () => undefined]),
        ),
      },
    ],
    ['documentSizeMax', { handlers: {}, documentSizeMax: 100 }],
    ['settingsKey', { handlers: {}, settingsKey: '' }],
    ['settingsKey', { handlers: {}, settingsKey: 'longer than fifteen' }],
  ])('%s out of range is refused by its name', (name, options) => {
    expect(() => new ShadowProfile(options as never)).toThrow(RangeError);
    expect(() => new ShadowProfile(options as never)).toThrow(name);
  });
});
