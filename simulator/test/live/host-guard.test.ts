import { describe, expect, it } from 'vitest';
import { checkHost, isPrivateAddress, UNGUARDED_DEVICES_MAX } from '../../src/live/host-guard.ts';
import { resolveTarget } from '../../src/live/preflight.ts';

describe('isPrivateAddress', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.255.255.255', true],
    ['10.1.2.3', true],
    ['172.15.255.255', false],
    ['172.16.0.0', true],
    ['172.31.255.255', true],
    ['172.32.0.0', false],
    ['192.168.1.1', true],
    ['192.169.0.0', false],
    ['100.64.0.1', true],
    ['100.128.0.1', false],
    ['169.254.1.1', true],
    ['192.0.2.1', false],
    ['::1', true],
    ['fd00::1', true],
    ['fe80::1', true],
    ['2001:db8::1', false],
    ['::ffff:127.0.0.1', true],
    ['::ffff:192.0.2.1', false],
  ])('%s: %s', (address, expected) => {
    expect(isPrivateAddress(address)).toBe(expected);
  });
});

describe('checkHost', () => {
  const documentation = '192.0.2.1'; // RFC 5737: nobody's.

  it('asks for leave above the limit, and names host, address and flag', () => {
    const check = () => checkHost('broker.test', documentation, 101, undefined);
    expect(check).toThrow(/broker\.test \(192\.0\.2\.1\).*101 devices/);
    expect(check).toThrow(/--yes-i-may-load broker\.test/);
  });

  it('takes leave for this host only', () => {
    expect(() => checkHost('broker.test', documentation, 101, 'broker.test')).not.toThrow();
    expect(() => checkHost('broker.test', documentation, 101, 'other.test')).toThrow();
  });

  it('lets few devices and private addresses through', () => {
    expect(() =>
      checkHost('broker.test', documentation, UNGUARDED_DEVICES_MAX, undefined),
    ).not.toThrow();
    expect(() => checkHost('localhost', '127.0.0.1', 100_000, undefined)).not.toThrow();
  });

  it('is asked before the first connection is tried', async () => {
    const asked: string[] = [];
    const broker = { url: 'mqtt://192.0.2.1:1883', host: documentation, port: 1883 };
    const refuse = (address: string) => {
      asked.push(address);
      throw new Error('not permitted');
    };
    // A connection to this address would end with another message, and only after seconds.
    await expect(resolveTarget(broker, refuse)).rejects.toThrow('not permitted');
    expect(asked).toEqual([documentation]);
  });
});
