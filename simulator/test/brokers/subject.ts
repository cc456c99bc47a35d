// What a group of conformance tests is about: one broker, and one version of MQTT.

import type { BrokerKind, BrokerTraits } from '../support/brokers.ts';
import type { Scene } from './scene.ts';

export interface Subject {
  readonly name: BrokerKind['name'];
  readonly traits: BrokerTraits;
  readonly version: 4 | 5;
  /** Makes a test of what happens in a scene. */
  play(act: (scene: Scene) => Promise<void>): () => Promise<void>;
}
