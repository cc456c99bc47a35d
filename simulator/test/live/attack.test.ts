// The attacker's server and the log of what stopped it, without devices: a check, an offer, a
// download, a report.

import { decodeCheckResponse, encodeCheck, encodeReport } from '@flotilla/ota-server/device-api';
import { readRelease } from '@flotilla/ota-server/releases';
import { afterEach, describe, expect, test } from 'vitest';
import { Catalogue } from '../../src/firmware/catalogue.ts';
import { createRunKey } from '../../src/firmware/keys.ts';
import { AttackLog } from '../../src/live/attack-log.ts';
import { attackOffers } from '../../src/live/attack-offers.ts';
import { AttackServer } from '../../src/live/attack-server.ts';
import { describeAttacks } from '../../src/report/updates.ts';
import { ATTACK_KINDS, type AttackKind, DIRECT_ATTACKS } from '../../src/scenario/update.ts';
import { scenarioOf } from '../firmware/scenario.ts';

const SEED = 4;
const scenario = scenarioOf({ seed: SEED, firmware: {}, releases: [{}] });
const catalogue = new Catalogue(scenario);
const firmware = scenario.fleets[0]!.firmware!;
const genuine = catalogue.releases[0]!.image;
const CHECK = encodeCheck({
  version: '1.0.0',
  digest: catalogue.factory[0]!.sha256,
  sequence: 0,
  uptimeS: 1,
  abnormalResets: 0,
});

const servers: AttackServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

function offersOf(kind: AttackKind) {
  return attackOffers(kind, catalogue, SEED, firmware);
}

/** A server with one victim of one kind of attack. */
async function attack(kind: AttackKind) {
  const log = new AttackLog([{ kind, id: 'a' }]);
  const server = new AttackServer(new Map([[kind, offersOf(kind)]]), log, 1);
  servers.push(server);
  const url = `${await server.start()}/${kind}/v1/devices/a`;
  const check = async () => {
    const answer = await fetch(`${url}/check`, { method: 'POST', body: Buffer.from(CHECK) });
    return decodeCheckResponse(new Uint8Array(await answer.arrayBuffer())).update;
  };
  const report = async (rollout: string, stage: 'confirmed' | 'failed', reason?: string) => {
    const body = encodeReport({ rollout, attempt: 1, stage, ...(reason ? { reason } : {}) });
    await fetch(`${url}/report`, { method: 'POST', body: Buffer.from(body) });
  };
  return { check, log, report, url };
}

describe('offers', () => {
  test.each(ATTACK_KINDS)('of %s are signed as the attack has it', (kind) => {
    const trusted = [
      { algorithm: 'ed25519' as const, key: createRunKey(SEED, 'manifest').publicKey },
    ];
    const offers = offersOf(kind);
    expect(offers.length).toBe(DIRECT_ATTACKS.includes(kind) ? 0 : kind === 'rollback' ? 2 : 1);
    for (const { release } of offers) {
      // All but one attack have the key of the manifests.
      expect(readRelease(release.envelope, trusted).ok).toBe(kind !== 'arbitrary-software');
    }
    const images = offers.map(({ release }) => Buffer.from(release.images[0]!.bytes));
    const ownImages = ['arbitrary-software', 'compromised-server'];
    expect(images[0]?.equals(genuine.bytes)).toBe(
      images.length === 0 ? undefined : !ownImages.includes(kind),
    );
  });
});

describe('the attacker', () => {
  test('hears what stopped it, and leaves the device alone then', async () => {
    const { check, log, report } = await attack('wrong-device');
    expect(log.isOver).toBe(false);
    expect(await check()).toMatchObject({ rollout: 'wrong-device-0', version: '1.1.0' });
    await report('another', 'failed', 'of no interest');
    expect(log.stoppedCount).toBe(0);
    await report('wrong-device-0', 'failed', 'manifest: wrong-class');
    expect(log.isOver).toBe(true);
    expect(await check()).toBeUndefined();
    expect(describeAttacks(log.summaries())).toEqual([
      ['wrong device', '1', '1', '0', 'update client: manifest: wrong-class'],
    ]);
  });

  test('has succeeded where the device confirms what it offered', async () => {
    const { check, log, report } = await attack('compromised-server');
    await check();
    await report('compromised-server-0', 'confirmed');
    expect(log).toMatchObject({ stoppedCount: 0, succeededCount: 1, isOver: true });
  });

  test('of a rollback lets the device update first', async () => {
    const { check, log, report } = await attack('rollback');
    expect(await check()).toMatchObject({ rollout: 'rollback-0', version: '1.1.0' });
    await report('rollback-0', 'confirmed');
    expect(log.succeededCount).toBe(0);
    expect(await check()).toMatchObject({ rollout: 'rollback-1', version: '0.9.0' });
  });

  test('alters a bit of the image, and serves ranges of it', async () => {
    const { check, url } = await attack('altered-image');
    await check();
    const answer = await fetch(`${url}/image`, { headers: { range: 'bytes=100-' } });
    expect(answer.status).toBe(206);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const differing = bytes.filter((byte, at) => byte !== genuine.bytes[at + 100]);
    expect(bytes.length).toBe(genuine.bytes.length - 100);
    expect(differing).toHaveLength(1);
  });

  test('never ends an endless download', async () => {
    const { check, url } = await attack('endless-data');
    await check();
    const answer = await fetch(`${url}/image`);
    const reader = answer.body!.getReader();
    let size = 0;
    while (size < 20 * genuine.bytes.length) size += (await reader.read()).value!.length;
    await reader.cancel();
    expect(size).toBeGreaterThan(genuine.bytes.length);
  });
});
