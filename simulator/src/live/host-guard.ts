// Load is for brokers of one's own. A host with a public address must be named by whoever starts
// the run, so that a slip of a URL does not load somebody else's broker.

import { BlockList, isIPv6 } from 'node:net';
import { RunError } from './preflight.ts';

/** Devices that any host may be expected to bear. */
export const UNGUARDED_DEVICES_MAX = 100;

/** Loopback, private, link-local and shared address space (RFC 1918, 3927, 4193, 4291, 6598). */
const PRIVATE = new BlockList();
PRIVATE.addSubnet('127.0.0.0', 8, 'ipv4');
PRIVATE.addSubnet('10.0.0.0', 8, 'ipv4');
PRIVATE.addSubnet('172.16.0.0', 12, 'ipv4');
PRIVATE.addSubnet('192.168.0.0', 16, 'ipv4');
PRIVATE.addSubnet('169.254.0.0', 16, 'ipv4');
PRIVATE.addSubnet('100.64.0.0', 10, 'ipv4');
PRIVATE.addAddress('::1', 'ipv6');
PRIVATE.addSubnet('fc00::', 7, 'ipv6');
PRIVATE.addSubnet('fe80::', 10, 'ipv6');

/** True for an IP address that no public host has. */
export function isPrivateAddress(address: string): boolean {
  // An IPv4 address in IPv6 clothes (RFC 4291 §2.5.5.2) is the IPv4 address.
  const plain = address.replace(/^::ffff:(\d+\.\d+\.\d+\.\d+)$/i, '$1');
  return PRIVATE.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
}

/**
 * Throws `RunError` when `devices` are too many for `host`, which resolved to `address`, and
 * `allowedHost` does not name it.
 */
export function checkHost(
  host: string,
  address: string,
  devices: number,
  allowedHost: string | undefined,
): void {
  if (devices <= UNGUARDED_DEVICES_MAX || isPrivateAddress(address) || host === allowedHost) return;
  throw new RunError(
    `${host} (${address}) is not a private address, and ${devices.toLocaleString('en')} devices ` +
      'are a load test.\n' +
      `If that broker is yours to load, add --yes-i-may-load ${host}; ` +
      `up to ${UNGUARDED_DEVICES_MAX} devices need no leave.`,
  );
}
