// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of scenario files.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { implicitThresholds } from '../../src/metrics/implicit.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { directory, FILE, GOOD, load, mistakes, TWO } from './scenario-file.ts';

describe('a good file', () => {
  it('is normalised, with every default filled in', () => {
    const { scenario, digest, overrides, secrets, file } = load(GOOD);
    expect(scenario).toEqual({
      name: 'small',
      seed: 77,
      startMs: Date.UTC(2026, 0, 1),
      topics: 'devices/{id}/{topic}',
      fleets: [
        {
          name: 'a',
          count: 10,
          id: '{run}-{fleet}-{index}',
          kind: 'device',
          intervalMs: 1_000,
          qos: 1,
          payloadSize: 0,
          subscribe: [],
          churnMs: 0,
          retry: { minMs: 1_000, maxMs: 60_000 },
          sensors: [{ name: 'x', model: { kind: 'constant', value: 1 } }],
          keepAliveMs: 60_000,
          sessionExpiryMs: 3_600_000,
          protocol: 'auto',
          bufferSize: 4_096,
          inflight: 8,
        },
      ],
      connect: { inFlight: 80, timeoutMs: 10_000 },
      rampMs: 0,
      durationMs: 20_000,
      settleMs: 30_000,
      timeline: [],
      thresholds: implicitThresholds([], { ...scenario, durationMs: 20_000 }),
    });
    expect(digest).toBe(createHash('sha256').update(GOOD).digest('hex'));
    expect({ overrides, secrets, file }).toEqual({ overrides: [], secrets: [], file: FILE });
  });

  it('keeps all that it says', () => {
    const text = `name: all
description: everything
seed: 4294967295
start: 2027-01-01T00:00:00+01:00
broker:
  url: mqtts://[::1]
  username: me
  password: secret
  ca: "-----BEGIN CERTIFICATE-----"
  verify: false
topics: t/{id}/d/{topic}
fleets:
  - name: a-1
    count: 1.5k
    id: x:{fleet}.{index}
    interval: 250ms
    qos: 0
    keepAlive: 0s
    sessionExpiry: 2h
    protocol: 5
    buffer: 1MB
    inflight: 1
    sensors:
      - { name: w, unit: Cel, model: random-walk, start: 1, step: 0.5, min: -1, max: 2 }
      - { name: s, model: sine, mean: 1, amplitude: 2, period: 1m }
      - { name: n, model: noise, mean: 1, deviation: 0 }
connect: { inFlight: 10, rate: 2.5, timeout: 3s }
ramp: 10s
duration: 1m
settle: 0s
timeline:
  - { at: 20s, outage: { for: 1s } }
  - { at: 10s, outage: { for: 2s, fleets: [a-1] } }
thresholds:
  reconnects: ['count>0', { threshold: rate<1, abortOnFail: true, delayAbortEval: 5s }]
`;
    const { scenario, secrets } = load(text);
    expect(scenario).toMatchObject({
      description: 'everything',
      seed: 4294967295,
      startMs: Date.UTC(2026, 11, 31, 23),
      broker: {
        url: 'mqtts://[::1]:8883',
        host: '::1',
        port: 8883,
        username: 'me',
        password: 'secret',
        tls: { ca: '-----BEGIN CERTIFICATE-----', verify: false },
      },
      topics: 't/{id}/d/{topic}',
      connect: { inFlight: 10, rate: 2.5, timeoutMs: 3_000 },
      rampMs: 10_000,
      durationMs: 60_000,
      settleMs: 0,
      timeline: [
        { kind: 'outage', atMs: 10_000, forMs: 2_000, fleets: ['a-1'] },
        { kind: 'outage', atMs: 20_000, forMs: 1_000, fleets: ['a-1'] },
      ],
      thresholds: [
        { metric: 'reconnects', expression: 'count>0', abortOnFail: false, delayAbortMs: 0 },
        { metric: 'reconnects', expression: 'rate<1', abortOnFail: true, delayAbortMs: 5_000 },
        ...implicitThresholds(['reconnects'], scenario),
      ],
    });
    expect(scenario.fleets[0]).toEqual({
      name: 'a-1',
      count: 1_500,
      id: 'x:{fleet}.{index}',
      kind: 'device',
      intervalMs: 250,
      qos: 0,
      payloadSize: 0,
      subscribe: [],
      churnMs: 0,
      retry: { minMs: 1_000, maxMs: 60_000 },
      keepAliveMs: 0,
      sessionExpiryMs: 7_200_000,
      protocol: '5',
      bufferSize: 1_048_576,
      inflight: 1,
      sensors: [
        {
          name: 'w',
          unit: 'Cel',
          model: { kind: 'random-walk', start: 1, step: 0.5, min: -1, max: 2 },
        },
        { name: 's', model: { kind: 'sine', mean: 1, amplitude: 2, periodMs: 60_000 } },
        { name: 'n', model: { kind: 'noise', mean: 1, deviation: 0 } },
      ],
    });
    expect(secrets).toEqual(['secret']);
  });

  it('takes credentials from the URL, and prints a URL without them', () => {
    const { scenario, secrets } = load(GOOD, { broker: 'mqtt://me:p%40ss@host' });
    expect(scenario.broker).toEqual({
      url: 'mqtt://host:1883',
      host: 'host',
      port: 1883,
      username: 'me',
      password: 'p@ss',
    });
    expect(secrets).toEqual(['p@ss']);
  });

  it('reads PEM files beside the scenario, or where a flag was typed', () => {
    const pem = (name: string) =>
      readFileSync(new URL(`../live/fixtures/${name}.pem`, import.meta.url), 'utf8');
    const [ca, certificate, key] = [pem('ca'), pem('client'), pem('client.key')];
    writeFileSync(join(directory, 'ca.pem'), ca);
    writeFileSync(join(directory, 'own.pem'), certificate);
    writeFileSync(join(directory, 'key.pem'), key);
    const text = `${GOOD}broker: { url: mqtts://h, ca: ca.pem, certificate: own.pem, key: key.pem }\n`;
    const { scenario, secrets } = load(text);
    expect(scenario.broker?.tls).toEqual({ ca, certificate, key, verify: true });
    expect(secrets).toEqual([key]);
    const typed = relative(process.cwd(), join(directory, 'own.pem'));
    const flags = { set: [`broker.ca=${typed}`] };
    expect(load(text, flags).scenario.broker?.tls?.ca).toBe(certificate);
    expect(mistakes(text, { set: ['broker.ca=ca.pem'] })).toEqual([
      '--set: broker.ca: cannot read "ca.pem": no such file',
    ]);
  });

  it('may use aliases, and an override changes one of them only', () => {
    const text = `${GOOD.replace('interval: 1s', 'interval: &i 1s')}ramp: *i\n`;
    const { scenario } = load(text, { set: ['fleets.a.interval=3s'] });
    expect([scenario.rampMs, scenario.fleets[0]?.intervalMs]).toEqual([1_000, 3_000]);
  });
});

describe('overrides', () => {
  const text = `${TWO}ci:\n  fleets.a.count: 1\n  duration: 5s\n`;

  it('apply ci only when asked', () => {
    expect(load(text).scenario.durationMs).toBe(20_000);
    const { scenario, overrides } = load(text, { ci: true });
    expect([scenario.durationMs, scenario.fleets[0]?.count]).toEqual([5_000, 1]);
    expect(overrides).toEqual(['--ci']);
    expect(() => load(GOOD, { ci: true })).toThrow(/^\S+: has no ci: block, which --ci asks for$/);
  });

  it('share devices out in the proportion of the fleets', () => {
    const { scenario } = load(text, { devices: '1k', seed: 5, duration: '7s' });
    expect(scenario.fleets.map(({ count }) => count)).toEqual([250, 750]);
    expect([scenario.seed, scenario.durationMs]).toEqual([5, 7_000]);
  });
});

describe('the environment', () => {
  const broker = (members: string) => `${GOOD}broker: { ${members} }\n`;

  it('fills in texts, whose secrets are remembered', () => {
    const { scenario, secrets } = load(
      broker('url: "mqtt://${HOST}:1", username: "${USER}", password: "x${PW}${PW}"').replace(
        'count: 10',
        'count: "${COUNT}"',
      ),
      {},
      { HOST: 'h', USER: 'me', PW: 'p${w}', COUNT: '2k' },
    );
    expect(scenario.broker).toMatchObject({ host: 'h', username: 'me', password: 'xp${w}p${w}' });
    expect(scenario.fleets[0]?.count).toBe(2_000);
    expect(secrets).toEqual(['me', 'p${w}', 'xp${w}p${w}']);
  });

  it('is missed at its place, and nothing else is said of that text', () => {
    expect(mistakes(broker('url: "${URL}", password: "${a-b} ${PW"'))).toEqual([
      'f:8:16: broker.url: the environment variable URL is not set',
      'f:8:36: broker.password: expected ${NAME} of an environment variable, got "${a-b}"',
      'f:8:36: broker.password: the environment variable PW is not set',
    ]);
  });

  it('never shows a secret in a mistake', () => {
    const text = broker('url: "http://${USER}:${PW}@h", username: "${USER}", password: "${PW}"');
    const lines = mistakes(text, {}, { USER: 'somebody', PW: 'hunter2' });
    expect(lines).toEqual([
      'f:8:16: broker.url: expected mqtt://host[:port] or mqtts://host[:port], got "http://***:***@h"',
    ]);
    expect(mistakes(`${GOOD}broker: { url: mqtt://h, password: 12345 }\n`)).toEqual([
      'f:8:36: broker.password: expected text (put it in quotes)',
    ]);
  });

  it('is not asked for variables of a ci block that is not applied', () => {
    const text = `${GOOD}ci: { broker.url: "\${CI_BROKER}" }\n`;
    expect(mistakes(text)).toEqual([]);
    expect(mistakes(text, { ci: true })).toEqual([
      'f:8:19: broker.url: the environment variable CI_BROKER is not set',
    ]);
  });
});

describe('files that are no YAML', () => {
  const anchors = 'abcdefgh'.split('');
  const bomb = anchors.map((name, index) => {
    const inner = index === 0 ? 'x' : `*${anchors[index - 1]}`;
    return `${name}: &${name} [${Array(9).fill(inner).join(', ')}]\n`;
  });
  it.each<[string, string | Buffer, string]>([
    ['empty', '', 'f: is empty'],
    ['a comment', '# nothing\n', 'f: is empty'],
    ['binary', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1]), 'f: is a binary file, not YAML'],
    ['Latin-1', Buffer.from('name: caf\xe9', 'latin1'), 'f: is not text in UTF-8'],
    ['huge', 'a'.repeat(1_048_577), 'f: is larger than 1 MB'],
    ['a duplicate', `${GOOD}duration: 3s\n`, 'f:8:1: duration: is there twice'],
    [
      'two documents',
      'a: 1\n---\nb: 1\n',
      `f:2:1: ${'a scenario is one YAML document'}, here begins another`,
    ],
    ['tabs', 'a:\n\t- 1\n', 'f:2:1: YAML is indented with spaces, not with tabs'],
    ['a dangling alias', 'name: *x\n', 'f:1:7: *x: no anchor &x'],
    ['an unknown tag', 'name: !x y\n', 'f:1:7: Unresolved tag: !x'],
    ['an alias bomb', bomb.join(''), 'f: more than 100 aliases'],
    ['an alias in itself', 'name: &a [*a]\n', 'f: is nested deeper than 32 levels'],
    ['a text', 'hello\n', 'f:1:1: scenario: expected a map, got "hello"'],
    ['a list', '- a\n', 'f:1:1: scenario: expected a map, got a list'],
  ])('%s', (_, text, line) => {
    expect(mistakes(text)).toEqual([line]);
  });

  it('a directory and a missing file', () => {
    expect(() => loadScenario(directory)).toThrow(`${directory}: is a directory, not a file`);
    const missing = join(directory, 'missing.yaml');
    expect(() => loadScenario(missing)).toThrow(`${missing}: no such file`);
  });

  it('one without an end is read no further than it may be large', () => {
    expect(() => loadScenario('/dev/zero')).toThrow('/dev/zero: is larger than 1 MB');
    expect(mistakes(`${GOOD}broker: { url: mqtts://h, ca: /dev/zero }\n`)).toEqual([
      'f:8:31: broker.ca: cannot read "/dev/zero": is larger than 1 MB',
    ]);
  });

  it('any text gives a scenario or mistakes, never another error', () => {
    const piece = fc.constantFrom(...'abc:-[]{}&*!|>\'"%@`,#? \n\t0.~'.split(''), 'name', 'fleets');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        expect(mistakes(pieces.join('')).length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });
});

describe('mistakes', () => {
  it('are found in what a fleet is to do', () => {
    const text = `name: traffic
fleets:
  - { name: a, count: 1, interval: 1s }
  - { name: b, count: 1, interval: 1s, rate: 5, kind: plain }
  - { name: c, count: 1, interval: 1s, kind: plain, sensors: [{ name: x, model: constant, value: 1 }] }
  - { name: d, count: 1, interval: 1s, payload: 1KB, sensors: [{ name: x, model: constant, value: 1 }] }
  - { name: e, count: 1, kind: plain, interval: 1s, payload: 1025KB, clock: { skew: 1s } }
duration: 20s
`;
    expect(mistakes(text)).toEqual([
      'f:3:5: fleets[0]: publishes, so it needs sensors (or kind: plain)',
      'f:4:46: fleets[1].rate: give interval or rate, not both',
      'f:5:62: fleets[2].sensors: are of devices: a plain client has none',
      'f:6:49: fleets[3].payload: is of plain clients (kind: plain)',
      'f:7:62: fleets[4].payload: expected at most 1MB, got "1025KB"',
      'f:7:77: fleets[4].clock: is of devices: a plain client tells no time',
    ]);
  });

  it('an application must be there', () => {
    const text = `name: app
fleets:
  - { name: a, count: 1, application: nowhere.ts }
duration: 20s
`;
    expect(mistakes(text).join()).toMatch(/^f:3:39: fleets\[0\]\.application: there is no file "/);
  });

  it('come all at once, in the order of the file', () => {
    const text = `name: Tele_metry
seed: -1
start: yesterday
topics: devices/{id}
fleets:
  - name: a
    count: many
    sensors: []
    keepAlive: 1500ms
    qoss: 1
    id: dev
  - name: a
    count: 0
    interval: 5
    qos: 3
    protocol: 4
    buffer: 4GB
    sensors:
      - { name: x, model: sin, mean: 1 }
      - { name: x, model: random-walk, start: 5, min: 10, max: 1 }
      - { name: y, model: random-walk, start: 5, step: 0, min: 6, max: 7 }
      - { model: noise, mean: 1e }
  - 5
connect: { inFlight: 0, rate: fast, timeout: }
ramp: 30s
duration: 20s
`;
    expect(mistakes(text)).toEqual([
      'f:1:7: name: expected lower-case letters, digits and single hyphens, got "Tele_metry"',
      'f:2:7: seed: expected a whole number from 0 to 4294967295, got -1',
      'f:3:8: start: expected a time such as 2026-01-01T00:00:00Z, got "yesterday"',
      'f:4:9: topics: expected a topic with {id}, which fills a level, and then {topic}, each once, and without + and #, got "devices/{id}"',
      'f:6:5: fleets[0]: does nothing: give it an interval, a rate, subscribe or an application',
      'f:7:12: fleets[0].count: expected a count such as 500, 10k or 1M, got "many"',
      'f:9:16: fleets[0].keepAlive: expected a multiple of 1s, got "1500ms"',
      'f:10:5: fleets[0].qoss: unknown member; did you mean "qos"?',
      'f:11:9: fleets[0].id: expected an id pattern of letters, digits and . _ : - that begins with a letter or digit, with {index} once, {run} and {fleet} if wanted, got "dev"',
      'f:12:11: fleets[1].name: another fleet is named "a" already',
      'f:13:12: fleets[1].count: expected at least 1, got 0',
      'f:14:15: fleets[1].interval: expected a duration such as 250ms, 90s, 5m, 1h or 7d, got 5',
      'f:15:10: fleets[1].qos: expected one of 0, 1, 2, got 3',
      'f:16:15: fleets[1].protocol: expected one of auto, 5, 3.1.1, got 4',
      'f:17:13: fleets[1].buffer: expected a size such as 512B, 4KB or 1MB, got "4GB"',
      'f:19:27: fleets[1].sensors[0].model: expected one of constant, random-walk, sine, noise, got "sin"; did you mean "sine"?',
      'f:20:9: fleets[1].sensors[1].step: is missing: expected a number',
      'f:20:17: fleets[1].sensors[1].name: another sensor of this fleet is named "x" already',
      'f:20:64: fleets[1].sensors[1].max: expected more than min 10, got 1',
      'f:21:47: fleets[1].sensors[2].start: expected a value from min 6 to max 7, got 5',
      'f:21:56: fleets[1].sensors[2].step: expected more than 0, got 0',
      'f:22:9: fleets[1].sensors[3].name: is missing: expected text',
      'f:22:9: fleets[1].sensors[3].deviation: is missing: expected a number',
      'f:22:31: fleets[1].sensors[3].mean: expected a number, got "1e"',
      'f:23:5: fleets[2]: expected a map, got 5',
      'f:24:22: connect.inFlight: expected at least 1, got 0',
      'f:24:31: connect.rate: expected a number, got "fast"',
      'f:24:46: connect.timeout: expected a duration such as 250ms, 90s, 5m, 1h or 7d, got nothing',
      'f:25:7: ramp: expected a time within the duration 20s, got 30s',
    ]);
  });

  it.each<[string, string[]]>([
    [
      'timeline: [{ at: 20s, outage: { for: 1s, fleets: [b, a] } }, { at: 1s }]',
      [
        'f:8:18: timeline[0].at: expected a time within the duration 20s, got 20s',
        'f:8:51: timeline[0].outage.fleets[0]: no fleet is named "b"; known are a',
        'f:8:62: timeline[1]: does nothing: give it an outage, a shadow, a release or a rollout',
      ],
    ],
    [
      'broker: { url: mqtt://h, usrname: x, ca: x, key: x }',
      [
        'f:8:26: broker.usrname: unknown member; did you mean "username"?',
        'f:8:42: broker.ca: is for TLS only: the url begins with mqtt://, not mqtts://',
        'f:8:50: broker.key: is for TLS only: the url begins with mqtt://, not mqtts://',
        'f:8:50: broker.key: is of no use without certificate',
      ],
    ],
    [
      'broker: { url: mqtts://h, ca: missing.pem, certificate: ., key: "-----BEGIN KEY" }',
      [
        'f:8:31: broker.ca: cannot read "missing.pem": no such file',
        'f:8:57: broker.certificate: cannot read ".": is a directory, not a file',
      ],
    ],
    [
      'thresholds: { messages_lots: [a] }',
      [
        'f:8:15: thresholds.messages_lots: unknown metric "messages_lots"; did you mean "messages_lost"?',
      ],
    ],
    [
      'thresholds: { messages_lost: [p(95)<5, 5, { threshold: x<1, abort: true }, {}] }',
      [
        'f:8:31: thresholds.messages_lost[0]: unknown value "p(95)"; a counter is compared by count, rate, value, share',
        'f:8:40: thresholds.messages_lost[1]: expected text or a map, got 5',
        'f:8:56: thresholds.messages_lost[2].threshold: unknown value "x"; a counter is compared by count, rate, value, share',
        'f:8:61: thresholds.messages_lost[2].abort: unknown member; did you mean "abortOnFail"?',
        'f:8:76: thresholds.messages_lost[3].threshold: is missing: expected text',
      ],
    ],
    [
      "thresholds: { 'devices{fleet:z}': ['value>1'], 'devices{fleat:a}': ['value>1'], reconnects: count>1 }",
      [
        'f:8:15: thresholds.devices{fleet:z}: no fleet is named "z"; known are a',
        'f:8:48: thresholds.devices{fleat:a}: unknown tag "fleat"; metrics are tagged with fleet',
        'f:8:93: thresholds.reconnects: expected a list, got "count>1"',
      ],
    ],
    ['ci: [a]', ['f:8:5: ci: expected a map, got a list']],
    [
      'ci: { fleets.b.count: 1, duration: x, fleets[0].count: }',
      // In a flow map a bracket ends the name: such a path needs quotes there.
      [
        'f:8:45: Missing , or : between flow map items',
        'f:8:48: Unexpected scalar at node end',
        'f:8:54: Missing , between flow map items',
      ],
    ],
    [
      'ci:\n  fleets.b.count: 1\n  duration: x\n  fleets[0].kount: 5\n  seed: {}',
      [
        'f:9:3: ci: fleets.b.count: no entry of fleets is named "b"; known are a (with --ci)',
        'f:10:13: duration: expected a duration such as 250ms, 90s, 5m, 1h or 7d, got "x" (with --ci)',
        'f:11:3: fleets[0].kount: unknown member; did you mean "count"? (with --ci)',
        'f:12:9: seed: expected a whole number from 0 to 4294967295, got a map (with --ci)',
      ],
    ],
    [
      'ci: { duration: 5s }\nramp: 10s',
      ['f:9:7: ramp: expected a time within the duration 5s, got 10s (with --ci)'],
    ],
  ])('%s', (member, lines) => {
    expect(mistakes(`${GOOD}${member}\n`)).toEqual(lines);
  });

  it('of flags name the flag', () => {
    const set = [
      'fleets.b.count=1',
      'fleets[3].count=1',
      'durration=1',
      'fleets.a.count=x',
      'duration',
      'name.x=1',
      '=5',
      'fleets.a.sensors.x.value=[1',
      'ci.x=1',
    ];
    const flags = { set, devices: '0', duration: '1y', seed: 'abc', broker: 'mqtt://u:pw@h/path' };
    expect(mistakes(GOOD, flags)).toEqual([
      '--seed: seed: expected a whole number from 0 to 4294967295, got "abc"',
      '--broker: broker.url: expected mqtt://host[:port] or mqtts://host[:port], got "mqtt://u:***@h/path"',
      '--set: fleets[0].count: expected a count such as 500, 10k or 1M, got "x"',
      '--duration: duration: expected a duration such as 250ms, 90s, 5m, 1h or 7d, got "1y"',
      '--set: durration: unknown member; did you mean "duration"?',
      '--set: fleets.b.count: no entry of fleets is named "b"; known are a',
      '--set: fleets[3].count: no entry [3]: fleets has 1 entry',
      '--set: duration: expected path=value',
      '--set: name.x: name is "small", not a map',
      '--set: =5: expected path=value',
      '--set: fleets.a.sensors.x.value: the value is not valid YAML',
      '--set: ci.x: the ci block cannot be overridden: set what it sets',
      '--devices: count: expected at least 1, one for each fleet, got 0',
    ]);
    expect(mistakes(GOOD, { devices: 'x' })).toEqual([
      '--devices: count: expected a count such as 500, 10k or 1M, got "x"',
    ]);
    expect(mistakes(GOOD, { set: ['broker.username=me'] })).toEqual([
      '--set: broker.url: is missing: expected text',
    ]);
  });
});
