// A worker of a campaign: one Piscina task is one flow, or one stretch of the flips at rest.

import { createHash } from 'node:crypto';
import { privateKeyFrom } from '@flotilla/command-line/keys';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { flipAtRest } from '../campaign/at-rest.ts';
import { type FlowResult, runFlow } from '../campaign/cases.ts';
import { EspIdfImages } from '../campaign/esp-idf-images.ts';
import { FLOWS } from '../campaign/flows.ts';
import { type CampaignKey, McubootImages } from '../campaign/mcuboot-images.ts';
import { exploreRecord, type GraphResult } from '../campaign/record-graph.ts';
import { type CampaignWorld, createWorld } from '../campaign/world.ts';
import { readEspImage } from '../images/esp-idf.ts';
import { publicKeyInfo, verifyImage } from '../images/mcuboot.ts';
import { nodeCrypto, signingKeyOf } from '../node-crypto.ts';
import { createEspIdfProfile } from '../profiles/esp-idf.ts';
import { createHardenedProfile } from '../profiles/hardened.ts';

export type CampaignProfile = 'hardened' | 'esp-idf';

/** What the whole campaign is about; the same for all its tasks. */
export interface CampaignSetup {
  readonly profile: CampaignProfile;
  readonly seed: number;
  readonly double: boolean;
  readonly stride: number;
  readonly only: string | undefined;
  /** Rules that are left out, to prove that they are needed. */
  readonly without: readonly ('rule-4' | 'rule-6')[];
  /** Counts cases, for progress. */
  readonly progress: Int32Array;
}

export type CampaignTask =
  | { readonly kind: 'flow'; readonly setup: CampaignSetup; readonly flow: string }
  | {
      readonly kind: 'at-rest';
      readonly setup: CampaignSetup;
      /** Stretch `part` of `parts`. */
      readonly part: number;
      readonly parts: number;
    }
  | { readonly kind: 'graph'; readonly setup: CampaignSetup };

export type CampaignOutcome =
  | { readonly kind: 'flow'; readonly result: FlowResult }
  | { readonly kind: 'at-rest'; readonly count: number; readonly accepted: readonly number[] }
  | { readonly kind: 'graph'; readonly result: GraphResult };

/** A key from the seed, so that a campaign repeats to the byte. */
function keyOf(seed: number, name: string): CampaignKey {
  const secret = createHash('sha256').update(`${seed} ${name}`).digest();
  return signingKeyOf(privateKeyFrom(secret));
}

let cached: { readonly name: string; readonly world: CampaignWorld } | undefined;

/** The world of a setup, made once per worker. */
function worldOf(setup: CampaignSetup): CampaignWorld {
  const { profile, seed, without } = setup;
  const name = `${profile} ${seed} ${without.join()}`;
  if (cached?.name !== name) cached = { name, world: makeWorld(setup) };
  return cached.world;
}

function makeWorld({ profile, seed, without }: CampaignSetup): CampaignWorld {
  if (profile === 'esp-idf') {
    const esp = createEspIdfProfile({ rollback: true, antiRollback: true });
    return createWorld(esp, nodeCrypto, [], [], new EspIdfImages(nodeCrypto, seed));
  }
  const key = keyOf(seed, 'trusted');
  const digest = toHex(nodeCrypto.sha256(publicKeyInfo(key.publicKey)));
  const images = new McubootImages(nodeCrypto, key, keyOf(seed, 'other'), seed);
  const hardened = createHardenedProfile({ recommit: !without.includes('rule-4') });
  return createWorld(hardened, nodeCrypto, [key.publicKey], [digest], images);
}

/** The Piscina task. */
export default function runTask(task: CampaignTask): CampaignOutcome {
  const { setup } = task;
  const world = worldOf(setup);
  const tick = (count: number) => {
    Atomics.add(setup.progress, 0, count);
  };
  if (task.kind === 'graph') return { kind: 'graph', result: exploreRecord(world) };
  if (task.kind === 'flow') {
    const flow = FLOWS.find(({ id }) => id === task.flow)!;
    const { double, only, seed, stride, without } = setup;
    const erasesAlways = !without.includes('rule-6');
    const options = { seed, double, stride, only, erasesAlways };
    return { kind: 'flow', result: runFlow(world, flow, options, tick) };
  }
  const total = world.images.next.length * 8;
  const first = Math.floor((total * task.part) / task.parts);
  const end = Math.floor((total * (task.part + 1)) / task.parts);
  const accepts =
    setup.profile === 'esp-idf'
      ? (bytes: Uint8Array) => readEspImage(bytes, nodeCrypto, { hashRequired: false }).ok
      : (bytes: Uint8Array) => verifyImage(bytes, world.keys, nodeCrypto).ok;
  const { accepted, count } = flipAtRest(world, first, end, setup.stride, accepts, tick);
  return { kind: 'at-rest', count, accepted };
}
