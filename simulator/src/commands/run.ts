// `flotilla run`: one scenario, live.

import {
  type Argv,
  type Command,
  CommandError,
  checkWhole,
  JSON_OPTION,
} from '@flotilla/command-line';
import { cleanCommandOf } from '../live/clean-command.ts';
import type { LiveRun } from '../live/live-run.ts';
import { runId } from '../live/run-id.ts';
import { removeRunRecord, writeRunRecord } from '../live/run-record.ts';
import type { RemoteServer } from '../live/update-part.ts';
import { columnsOf, hasColor, mayRedraw } from '../report/display.ts';
import { wrapLine } from '../report/layout.ts';
import { type Goal, Progress } from '../report/progress.ts';
import { redact } from '../report/redact.ts';
import { ResultFiles, renderJson } from '../report/result-files.ts';
import { buildSummary, exitCode, type Failure, type Summary } from '../report/summary.ts';
import { renderSummary } from '../report/terminal.ts';
import { type LoadedScenario, loadScenario } from '../scenario/load.ts';
import { deviceCount, type Scenario } from '../scenario/schema.ts';
import { isRunId } from './clean.ts';
import { Interruption } from './interruption.ts';

interface RunArguments {
  scenario: string;
  broker?: string;
  devices?: string;
  duration?: string;
  seed?: string;
  workers?: number;
  set?: string[];
  ci: boolean;
  run?: string;
  yesIMayLoad?: string;
  otaServer?: string;
  otaKey?: string;
  summaryExport?: string;
  junit?: string;
  json: boolean;
}

export const runCommand: Command<RunArguments> = {
  command: 'run <scenario>',
  describe: 'Run a scenario: a fleet of devices against a broker',
  builder: options,
  handler: run,
};

function options(command: Argv): Argv {
  return command
    .positional('scenario', { type: 'string', describe: 'Scenario file (YAML)' })
    .option('broker', {
      type: 'string',
      describe: 'mqtt://host:port or mqtts://…; default: the scenario’s, else one of its own',
    })
    .option('devices', { type: 'string', describe: 'Devices of all fleets together: 200, 10k' })
    .option('duration', { type: 'string', describe: 'How long devices sample: 30s, 5m' })
    .option('seed', { type: 'string', describe: 'Seed of all randomness, 0 to 4294967295' })
    .option('workers', { type: 'number', describe: 'Worker threads; default: cores but one' })
    .option('set', {
      type: 'string',
      array: true,
      nargs: 1,
      describe: 'Override a value: --set fleets.meters.interval=2s',
    })
    .option('run', {
      type: 'string',
      describe: 'Id of the run, first part of all client ids; default: from the seed',
    })
    .option('yes-i-may-load', {
      type: 'string',
      describe: 'HOST with a public address that may get more than 100 devices',
    })
    .option('ota-server', {
      type: 'string',
      describe: 'URL of an OTA server to use; default: one of its own, on loopback',
    })
    .option('ota-key', { type: 'string', describe: 'Admin key of that server (or OTA_KEY is set)' })
    .option('ci', { type: 'boolean', default: false, describe: 'At the scale of its ci: block' })
    .option('summary-export', { type: 'string', describe: 'Write the summary as JSON to FILE' })
    .option('junit', { type: 'string', describe: 'Write JUnit XML to FILE' })
    .option('json', { ...JSON_OPTION, describe: 'Print the summary as JSON' })
    .check(({ otaKey, otaServer, run: id, workers }) => {
      checkOtaServer(otaServer, otaKey);
      if (workers !== undefined) checkWhole('workers', workers, 1);
      if (id !== undefined && !isRunId(id)) {
        throw new Error('--run: expected up to 10 of a-z and 0-9');
      }
      return true;
    })
    .example('$0 run scenarios/quickstart.yaml', 'a small fleet on a broker of its own')
    .example('$0 run scenarios/telemetry.yaml --broker mqtt://127.0.0.1 --devices 2k', 'on yours')
    .example('$0 run my.yaml --json --duration 1m', 'for a machine that reads it')
    .epilogue(
      'Exit codes: 0 passed, 1 failed, 2 wrong usage or scenario, 99 a threshold was crossed, ' +
        '130, 143, 129 interrupted (SIGINT, SIGTERM, SIGHUP).',
    );
}

async function run(args: RunArguments): Promise<void> {
  const startedAt = new Date().toISOString();
  const files = new ResultFiles(args);
  let loaded: LoadedScenario | undefined;
  try {
    loaded = load(args);
    files.check();
    await runScenario(loaded, args, files);
  } catch (error) {
    if (!(error instanceof OutputError)) {
      reportFailure(error as Error, args, files, startedAt, loaded);
    }
    throw error;
  }
}

/** The run came to its end, and not all that it has to say could be written. */
class OutputError extends CommandError {}

function load(args: RunArguments): LoadedScenario {
  return loadScenario(args.scenario, {
    ci: args.ci,
    ...given('broker', args.broker),
    ...given('devices', args.devices),
    ...given('duration', args.duration),
    ...given('seed', args.seed),
    ...given('set', args.set),
  });
}

async function runScenario(
  loaded: LoadedScenario,
  args: RunArguments,
  files: ResultFiles,
): Promise<void> {
  const { scenario } = loaded;
  const id = args.run ?? runId(scenario.seed);
  const clean = cleanCommandOf(loaded, id);
  // Results go to stdout; what is for the eye while it runs goes to stderr.
  const stream = args.json ? process.stderr : process.stdout;
  const columns = columnsOf(stream) ?? Number.POSITIVE_INFINITY;
  const progress = new Progress({
    stream,
    redraws: mayRedraw(stream, process.env),
    fleets: scenario.fleets,
    durationMs: scenario.durationMs,
    ...given('goal', goalOf(scenario)),
    nowMs: () => performance.now(),
  });
  const interruption = new Interruption(progress);
  const title = wrapLine(titleOf(scenario, id), columns);
  // A command is copied: it is no line to wrap.
  if (clean !== undefined) title.push(`If it is killed: ${clean}`);
  stream.write(`${title.join('\n')}\n\n`);
  if (clean !== undefined) writeRunRecord(id, scenario.broker!.url, clean);
  let liveRun: LiveRun | undefined;
  try {
    progress.start();
    progress.phase('loading');
    liveRun = await createRun(loaded, id, args, progress);
    interruption.attach(liveRun);
    const summary = buildSummary(await liveRun.execute());
    progress.stop();
    const code = summary.interrupted === true ? interruption.exitCode : undefined;
    report(summary, loaded, args, files, code ?? exitCode(summary));
  } finally {
    progress.stop();
    interruption.stop();
    if (liveRun?.isClean !== false) removeRunRecord(id, process.pid);
  }
}

function titleOf(scenario: Scenario, run: string): string {
  const devices = deviceCount(scenario).toLocaleString('en');
  const broker = scenario.broker?.url ?? 'an embedded broker';
  return `${scenario.name}: ${devices} devices on ${broker}, seed ${scenario.seed}, run ${run}`;
}

/** Its libraries take half a second: the title is there before. */
async function createRun(
  loaded: LoadedScenario,
  run: string,
  args: RunArguments,
  progress: Progress,
): Promise<LiveRun> {
  const module = await import('../live/live-run.ts');
  return new module.LiveRun(loaded, {
    ...given('workers', args.workers),
    run,
    ...given('allowedHost', args.yesIMayLoad),
    ...given('otaServer', otaServerOf(args)),
    onProgress: (snapshot, elapsedMs) => progress.update(snapshot, elapsedMs),
    onPhase: (phase) => progress.phase(phase),
  });
}

/** The key may come from the environment, where other users of the machine do not see it. */
function adminKeyOf(otaKey: string | undefined): string | undefined {
  return otaKey ?? process.env.OTA_KEY;
}

function checkOtaServer(url: unknown, key: unknown): void {
  if (url === undefined) {
    if (key !== undefined) throw new Error('--ota-key: is of no use without --ota-server');
    return;
  }
  if (!/^https?:\/\/[^/?#]+/.test(String(url))) {
    throw new Error('--ota-server: expected http://host:port or https://…');
  }
  if (adminKeyOf(key as string | undefined) === undefined) {
    throw new Error('--ota-server: give --ota-key too (flotilla-ota serve prints where it is)');
  }
}

function otaServerOf({ otaKey, otaServer: url }: RunArguments): RemoteServer | undefined {
  const adminKey = adminKeyOf(otaKey);
  return url === undefined || adminKey === undefined ? undefined : { url, adminKey };
}

function report(
  summary: Summary,
  { secrets }: LoadedScenario,
  args: RunArguments,
  files: ResultFiles,
  code: number,
): void {
  const text = args.json ? renderJson(summary) : renderSummary(summary, display());
  process.stdout.write(redact(text, secrets));
  const mistakes = files.write(summary, secrets);
  if (mistakes.length > 0) throw new OutputError(mistakes.join('\n'), code === 0 ? 1 : code);
  process.exitCode = code;
}

/** A machine that waits for the result of a run that has none gets the reason. */
function reportFailure(
  error: Error,
  args: RunArguments,
  files: ResultFiles,
  startedAt: string,
  loaded: LoadedScenario | undefined,
): void {
  const failure: Failure = {
    schemaVersion: 1,
    scenario: loaded?.scenario.name ?? args.scenario,
    run: { file: args.scenario },
    passed: false,
    error: error.message,
    startedAt,
  };
  const secrets = loaded?.secrets ?? [];
  if (args.json) process.stdout.write(redact(renderJson(failure), secrets));
  for (const mistake of files.write(failure, secrets)) console.error(`flotilla: ${mistake}`);
}

function display(): { color: boolean; columns?: number } {
  const { env, stdout } = process;
  return { color: hasColor(stdout, env), ...given('columns', columnsOf(stdout)) };
}

/** What a run without an end of its own goes on for. */
function goalOf({ endAfterRolloutsMs, fleets }: Scenario): Goal | undefined {
  if (endAfterRolloutsMs === undefined) return undefined;
  const names = (of: Scenario['fleets']) => of.map(({ name }) => name);
  const attacked = fleets.filter(({ firmware }) => (firmware?.attacks.length ?? 0) > 0);
  if (attacked.length > 0) {
    return { metric: 'attacks_stopped', word: 'stopped', fleets: names(attacked) };
  }
  const updated = fleets.filter(({ firmware }) => firmware !== undefined);
  return { metric: 'devices_updated', word: 'updated', fleets: names(updated) };
}

function given<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { [Key in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [Key in Name]: Value });
}
