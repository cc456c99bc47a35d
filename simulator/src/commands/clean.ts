// `flotilla clean`: removes what a run that was killed left at a broker, or names such runs.

import {
  type Argv,
  type Command,
  CommandError,
  JSON_OPTION,
  UsageError,
} from '@flotilla/command-line';
import { Cleaner } from '../live/cleaner.ts';
import { deviceIdsOf } from '../live/leftovers.ts';
import { resolveTarget } from '../live/preflight.ts';
import { CLAIM } from '../live/run-claim.ts';
import { removeRunRecord, runsLeftBehind } from '../live/run-record.ts';
import { parseBrokerUrl } from '../scenario/broker-url.ts';
import { TOPICS_DEFAULT } from '../scenario/file-schema.ts';
import { loadScenario } from '../scenario/load.ts';
import { type Broker, RUN_ID_LENGTH_MAX } from '../scenario/schema.ts';

interface CleanArguments {
  run?: string;
  broker?: string;
  scenario?: string;
  devices?: string;
  topics?: string;
  json: boolean;
}

/** Where a run was, and what is known of its clients. */
interface Place {
  readonly broker: Broker;
  readonly topics: string;
  /** None where only the broker knows them. */
  readonly ids: readonly string[];
}

export const cleanCommand: Command<CleanArguments> = {
  command: 'clean',
  describe: 'Remove what a killed run left at a broker; without --run: name such runs',
  builder: options,
  handler: async (args) => {
    if (args.run === undefined) nameRuns(args.json);
    else await clean(args.run, placeOf(args.run, args), args.json);
  },
};

function options(command: Argv): Argv {
  return command
    .option('run', { type: 'string', describe: 'Id of the run: what its client ids begin with' })
    .option('broker', { type: 'string', describe: 'mqtt://host:port; default: the scenario’s' })
    .option('scenario', {
      type: 'string',
      describe: 'Its scenario file, for credentials, certificates and plain clients',
    })
    .option('devices', { type: 'string', describe: 'As the run had it; with --scenario' })
    .option('topics', {
      type: 'string',
      describe: `Topic template; default: the scenario’s, else ${TOPICS_DEFAULT}`,
    })
    .option('json', JSON_OPTION)
    .check(({ broker, devices, run, scenario, topics }) => {
      if (broker !== undefined && parseBrokerUrl(String(broker)) === undefined) {
        throw new Error(`--broker: expected mqtt://host[:port], got ${broker}`);
      }
      if (run === undefined) {
        if ([broker, devices, scenario, topics].every((value) => value === undefined)) return true;
        throw new Error('--run is missing: flotilla clean alone names the runs left behind');
      }
      if (!isRunId(String(run))) {
        throw new Error(`--run: expected 1-${RUN_ID_LENGTH_MAX} of a-z 0-9`);
      }
      if (broker === undefined && scenario === undefined) {
        throw new Error('--broker is missing: where the run was, or --scenario, which says so');
      }
      if (devices !== undefined && scenario === undefined) {
        throw new Error('--devices: is of no use without --scenario');
      }
      return true;
    })
    .example('$0 clean', 'the runs that were killed, each with its command')
    .example('$0 clean --run r1a2b3c --broker mqtt://127.0.0.1', 'after a run that was killed');
}

function nameRuns(json: boolean): void {
  const runs = runsLeftBehind();
  if (json) {
    console.log(JSON.stringify(runs));
  } else if (runs.length === 0) {
    console.log('No run of yours on this machine was left behind.');
  } else {
    for (const { broker, clean: command, run, startedAt } of runs) {
      console.log(`${run} at ${broker}, started ${startedAt}:\n  ${command}`);
    }
  }
}

function placeOf(run: string, { broker, devices, scenario: file, topics }: CleanArguments): Place {
  if (file === undefined) {
    return { broker: parseBrokerUrl(broker!)!, topics: topics ?? TOPICS_DEFAULT, ids: [] };
  }
  const { scenario } = loadScenario(file, {
    ...(broker === undefined ? {} : { broker }),
    ...(devices === undefined ? {} : { devices }),
  });
  if (scenario.broker === undefined) {
    throw new UsageError(`${file} names no broker: give --broker too`);
  }
  return {
    broker: scenario.broker,
    topics: topics ?? scenario.topics,
    ids: deviceIdsOf(scenario, run),
  };
}

async function clean(run: string, { broker, ids, topics }: Place, json: boolean): Promise<void> {
  const cleaner = new Cleaner(await resolveTarget(broker), topics, 0);
  const prefix = `${run}-`;
  const found = await cleaner.findRetained(prefix, `${prefix}cleaner`).catch((error: Error) => {
    throw new CommandError(`${broker.url}: ${error.message}`);
  });
  const devices = new Set([...ids, ...found]);
  const failed =
    (await cleaner.clean([...devices, `${prefix}shadow`])) +
    (await cleaner.clean([`${prefix}observer`], ['status', CLAIM]));
  if (failed > 0) {
    throw new CommandError(`${failed} of ${devices.size + 2} ids could not be cleaned`);
  }
  for (const left of runsLeftBehind()) {
    if (left.run === run && left.broker === broker.url) removeRunRecord(run, left.pid);
  }
  if (json) console.log(JSON.stringify({ run, broker: broker.url, cleaned: devices.size }));
  else console.log(`${broker.url}: cleaned ${devices.size} devices of run ${run}`);
}

/** True for what may stand for {run} in client ids. */
export function isRunId(text: string): boolean {
  return text.length <= RUN_ID_LENGTH_MAX && /^[a-z0-9]+$/.test(text);
}
