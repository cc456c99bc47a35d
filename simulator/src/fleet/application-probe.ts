// A process that imports an application and says whether fleets can run it. The module is the
// user's: it may write, loop or end the process, which is why it is not imported where a scenario
// is loaded. What it throws as it is imported ends this process, and Node says where.

import { writeSync } from 'node:fs';
import { stdin } from 'node:process';
import { buffer } from 'node:stream/consumers';
import { deserialize } from 'node:v8';
import type { Fleet, Scenario } from '../scenario/schema.ts';
import { exportMistake, loadApplication } from './application.ts';
import { createFleetProfile } from './fleet-profile.ts';

export interface ProbeTask {
  readonly file: string;
  readonly scenario: Scenario;
  /** Those that run it. */
  readonly fleets: readonly Fleet[];
}

/** Where the answer goes: stdout and stderr are the application's. */
export const ANSWER_DESCRIPTOR = 3;

const { file, fleets, scenario } = deserialize(await buffer(stdin)) as ProbeTask;
const application = await loadApplication(file);
const context = {
  scenario,
  run: 'run',
  broker: { host: '127.0.0.1', port: 1883 },
  username: undefined,
  password: undefined,
  deviceCount: 1,
  update: undefined,
};
/** By fleet: what is wrong, or null. */
const missing = exportMistake({ ...application });
const answer = fleets.map((fleet) => {
  if (missing !== undefined) return missing;
  try {
    createFleetProfile(context, fleet, application, {});
    return null;
  } catch (error) {
    return (error as Error).message;
  }
});
writeSync(ANSWER_DESCRIPTOR, JSON.stringify(answer));
process.exit();
