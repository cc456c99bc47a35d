// A scene whose every packet is judged, for the tests of the client.

import { expect } from 'vitest';
import type { ClientOptions } from '../../src/mqtt/client-profile.ts';
import type { ProtocolVersion } from '../../src/mqtt/packet.ts';
import { WireAudit } from '../support/wire-audit.ts';
import { Scene } from './statements-scene.ts';

/** A scene whose every packet is judged. */
export function audited(
  version: ProtocolVersion,
  options: Partial<ClientOptions> = {},
  roomMax = 4096,
): { scene: Scene; audit: WireAudit } {
  const scene = new Scene(version, options);
  scene.platform.link.roomMax = roomMax;
  const audit = new WireAudit(scene.world, { inflightMax: 8, keepAliveS: 60 });
  scene.platform.link.taps.push(audit);
  scene.owner.audit = audit;
  scene.start();
  scene.untilConnected(1);
  return { scene, audit };
}

/** Neither side broke a rule, and no message came broken. */
export function expectNoViolations(scene: Scene, audit?: WireAudit): void {
  expect([...scene.broker.violations, ...scene.owner.failures]).toEqual([]);
  expect(audit?.violations ?? []).toEqual([]);
}
