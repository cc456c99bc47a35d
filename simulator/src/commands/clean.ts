// `flotilla clean`: removes what an interrupted run left at a broker.

import { type Command, CommandError, JSON_OPTION } from '@flotilla/command-line';
import { Cleaner } from '../live/cleaner.ts';
import { resolveTarget } from '../live/preflight.ts';
import { CLAIM } from '../live/run-claim.ts';
import { parseBrokerUrl } from '../scenario/broker-url.ts';
import { TOPICS_DEFAULT } from '../scenario/file-schema.ts';
import { RUN_ID_LENGTH_MAX } from '../scenario/schema.ts';

interface CleanArguments {
  run: string;
  broker: string;
  topics: string;
  json: boolean;
}

export const cleanCommand: Command<CleanArguments> = {
  command: 'clean',
  describe: 'Remove retained messages and sessions that a run left at a broker',
  builder: (command) =>
    command
      .option('run', {
        type: 'string',
        demandOption: true,
        describe: 'Id of the run: what its client ids begin with',
      })
      .option('broker', { type: 'string', demandOption: true, describe: 'mqtt://host:port' })
      .option('topics', {
        type: 'string',
        default: TOPICS_DEFAULT,
        describe: 'Topic template of the scenario',
      })
      .option('json', JSON_OPTION)
      .check(({ broker, run }) => {
        if (parseBrokerUrl(broker) === undefined) {
          throw new Error(`--broker: expected mqtt://host[:port], got ${broker}`);
        }
        if (!isRunId(run)) throw new Error(`--run: expected 1-${RUN_ID_LENGTH_MAX} of a-z 0-9`);
        return true;
      })
      .example('$0 clean --run r1a2b3c --broker mqtt://127.0.0.1', 'after a run that was killed'),
  handler: async ({ broker, json, run, topics }) => {
    const parsed = parseBrokerUrl(broker)!;
    const cleaner = new Cleaner(await resolveTarget(parsed), topics, 0);
    const prefix = `${run}-`;
    const ids = await cleaner.findRetained(prefix, `${prefix}cleaner`).catch((error: Error) => {
      throw new CommandError(`${parsed.url}: ${error.message}`);
    });
    const failed =
      (await cleaner.clean([...ids, `${prefix}shadow`])) +
      (await cleaner.clean([`${prefix}observer`], ['status', CLAIM]));
    if (failed > 0)
      throw new CommandError(`${failed} of ${ids.length + 1} ids could not be cleaned`);
    if (json) console.log(JSON.stringify({ run, broker: parsed.url, cleaned: ids.length }));
    else console.log(`${parsed.url}: cleaned ${ids.length} devices of run ${run}`);
  },
};

/** True for what may stand for {run} in client ids. */
export function isRunId(text: string): boolean {
  return text.length <= RUN_ID_LENGTH_MAX && /^[a-z0-9]+$/.test(text);
}
