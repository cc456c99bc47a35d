// What the SDK, a worker or the observer would refuse is refused when the scenario is loaded, at its
// place; and what says a number or a version is taken as one, in quotes too.

import { describe, expect, it } from 'vitest';
import { load, mistakes } from './scenario-file.ts';

/** A fleet with this member, in line 3. */
function fleetWith(member: string, more = ''): string {
  return `name: refused
fleets:
  - ${member}
    name: a
    count: 2
    kind: plain
${member.startsWith('rate') ? '' : '    interval: 1s\n'}${more}duration: 20s
`;
}

describe('a topic filter', () => {
  it.each([
    'a/#/b',
    'x+/y',
    'x/y+',
    'a#',
    '$share/only',
    '$share//x',
    '$share/a+/x',
    '$share/g/a/#/b',
  ])('that is none is told: %s', (filter) => {
    expect(mistakes(fleetWith(`subscribe: [ok/+, '${filter}']`))).toEqual([
      'f:3:23: fleets[0].subscribe[1]: expected a topic filter, in which + and # fill whole levels ' +
        `and # is the last, or $share/name/filter, got "${filter}"`,
    ]);
  });

  it.each(['#', '+', 'a/+/b/#', '/', '{run}/#', '$share/g/{run}/+'])('is taken: %s', (filter) => {
    expect(load(fleetWith(`subscribe: ['${filter}']`)).scenario.fleets[0]!.subscribe).toEqual([
      filter,
    ]);
  });
});

describe('a topic template', () => {
  it.each([
    '{topic}/{id}',
    'x-{id}/{topic}',
    '{id}{topic}',
    '{id}/{id}/{topic}',
    '{id}/{topic}/{topic}',
    '{id}/+/{topic}',
    'a/{id}',
  ])('that devices or observer could not use is told: %s', (topics) => {
    const text = `topics: '${topics}'\n${fleetWith('qos: 1')}`;
    expect(mistakes(text)).toEqual([
      expect.stringMatching(/^f:1:9: topics: expected a topic with/),
    ]);
  });

  it('may have levels around its parts', () => {
    const text = `topics: 'a/{id}/b-{topic}/c'\n${fleetWith('qos: 1')}`;
    expect(load(text).scenario.topics).toBe('a/{id}/b-{topic}/c');
  });
});

describe('a member of a fleet', () => {
  it.each([
    ["id: '-{index}'", 'f:3:9: fleets[0].id: expected an id pattern'],
    ["id: '_{fleet}-{index}'", 'f:3:9: fleets[0].id: expected an id pattern'],
    [
      'rate: 2001',
      'f:3:11: fleets[0].rate: expected at most 2000, one a ms of each device, got 2001',
    ],
    [
      'rate: 1e-9',
      'f:3:11: fleets[0].rate: expected at least one message a year of each device, got 1e-9',
    ],
    ['wake: { interval: 1h }', 'f:3:5: fleets[0].sessionExpiry: expected more than the 1h'],
    [
      'retry: { min: 2s, max: 1s }',
      'f:3:28: fleets[0].retry.max: expected at least min 2s, got 1s',
    ],
  ])('that no device could have is told: %s', (member, expected) => {
    const found = mistakes(fleetWith(member));
    expect(found.map((line) => line.slice(0, expected.length))).toEqual([expected]);
  });
});

describe('credentials', () => {
  const withBroker = (members: string) =>
    `broker: { url: 'mqtt://h', ${members} }\n${fleetWith('qos: 1')}`;

  it('are as long as MQTT can say, in bytes', () => {
    const fits = 'ü'.repeat(32_767);
    const { broker } = load(withBroker(`username: '${fits}x', password: '${fits}x'`)).scenario;
    expect(broker!.username).toBe(`${fits}x`);
    const lines = mistakes(withBroker(`username: '${fits}xx', password: '${fits}xx'`));
    const words = 'is longer than 65535 bytes, which is all that MQTT has room for';
    expect(lines).toEqual([
      `f:1:38: broker.username: ${words}`,
      `f:1:${38 + fits.length + 16}: broker.password: ${words}`,
    ]);
  });

  it('have no U+0000, in the URL neither', () => {
    expect(mistakes(withBroker('username: "a\\0"'))).toEqual([
      'f:1:38: broker.username: U+0000 is not allowed',
    ]);
    expect(mistakes(`broker: { url: 'mqtt://a%00@h' }\n${fleetWith('qos: 1')}`)).toEqual([
      'f:1:16: broker.url: its username has U+0000, or is longer than 65535 bytes',
    ]);
  });

  it('of TLS are ones that OpenSSL can use', () => {
    const pem = '-----BEGIN CERTIFICATE-----\\nnonsense\\n-----END CERTIFICATE-----\\n';
    const members = `certificate: "${pem}", key: "${pem}"`;
    const text = `broker: { url: 'mqtts://h', ${members} }\n${fleetWith('qos: 1')}`;
    expect(mistakes(text)).toEqual([
      expect.stringMatching(
        /^f:1:\d+: broker\.certificate: TLS: the certificates cannot be used: /,
      ),
    ]);
  });
});

describe('numbers and booleans as text', () => {
  it.each([
    ["protocol: '5'", { protocol: '5' }],
    ['protocol: "3.1.1"', { protocol: '3.1.1' }],
    ["qos: '2'", { qos: 2 }],
    ["rate: '0.5'", { intervalMs: 4000 }],
    ["inflight: '7'", { inflight: 7 }],
  ])('are taken as what they say: %s', (member, expected) => {
    expect(load(fleetWith(member)).scenario.fleets[0]).toMatchObject(expected);
  });

  it('come out of the environment, too', () => {
    const variable = (name: string) => `"$\{${name}}"`;
    const broker = `broker: { url: 'mqtts://h', verify: ${variable('VERIFY')} }\n`;
    const text = fleetWith(`qos: ${variable('QOS')}`, `seed: ${variable('SEED')}\n${broker}`);
    const { scenario } = load(text, {}, { QOS: '0', SEED: '42', VERIFY: 'false' });
    expect([scenario.fleets[0]!.qos, scenario.seed]).toEqual([0, 42]);
    expect(scenario.broker!.tls!.verify).toBe(false);
  });

  it('that say something else are told', () => {
    expect(mistakes(fleetWith("qos: '3'"))).toEqual([
      'f:3:10: fleets[0].qos: expected one of 0, 1, 2, got "3"',
    ]);
    expect(mistakes(fleetWith("rate: 'ten'"))).toEqual([
      'f:3:11: fleets[0].rate: expected a number, got "ten"',
    ]);
  });
});

describe('a version', () => {
  const withFirmware = (version: string) =>
    fleetWith(`firmware: { version: ${version} }`).replace(
      '    kind: plain',
      '    sensors: [{ name: x, model: constant, value: 1 }]',
    );

  it('that YAML reads as a number is told with what it is read as', () => {
    expect(mistakes(withFirmware('1.10'))).toEqual([
      'f:3:26: fleets[0].firmware.version: expected a version such as 1.2.3, got the number 1.1: ' +
        'put versions in quotes, or YAML reads 1.10 as 1.1',
    ]);
    expect(mistakes(withFirmware("'1.10'"))).toEqual([
      'f:3:26: fleets[0].firmware.version: expected a version such as 1.2.3, got "1.10"',
    ]);
  });

  it('is one that an image can have', () => {
    expect(mistakes(withFirmware('256.0.0'))).toEqual([
      'f:3:26: fleets[0].firmware.version: expected at most 255.255.65535, got "256.0.0"',
    ]);
    expect(load(withFirmware('255.255.65535')).scenario.fleets[0]!.firmware!.version).toBe(
      '255.255.65535',
    );
  });
});
