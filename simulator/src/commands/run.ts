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
import { RunError } from '../live/preflight.ts';
import { newRunId } from '../live/run-id.ts';
import { removeRunRecord, writeRunRecord } from '../live/run-record.ts';
import type { RemoteServer } from '../live/update-part.ts';
import { columnsOf, hasColor, mayRedraw } from '../report/display.ts';
import { wrapLine } from '../report/layout.ts';
import { type Goal, Progress } from '../report/progress.ts';
import { redact } from '../report/redact.ts';
import {
  buildSummary,
  exitCode,
  type Summary,
  unjudgedSummary,
  unreadScenario,
} from '../report/summary.ts';
import { renderSummary, renderUnjudged } from '../report/terminal.ts';
import { type LoadedScenario, loadScenario } from '../scenario/load.ts';
import { deviceCount, type Scenario } from '../scenario/schema.ts';
import { isRunId } from './clean.ts';
import { Interruption } from './interruption.ts';
import { ResultFiles, renderJson } from './result-files.ts';

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
      describe: 'Id of the run, first part of all client ids; default: a new one',
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
      'Exit codes: 0 passed, 1 not judged or not written, 2 wrong usage or scenario, 99 failed: a ' +
        'threshold was crossed, 130, 143, 129 interrupted (SIGINT, SIGTERM, SIGHUP).',
    );
}

async function run(args: RunArguments): Promise<void> {
  const startedAt = new Date();
  const runId = args.run ?? newRunId();
  const files = new ResultFiles(args);
  let loaded: LoadedScenario | undefined;
  try {
    loaded = load(args);
    files.check();
    await runScenario(loaded, runId, args, files);
  } catch (error) {
    if (!(error instanceof OutputError)) {
      reportUnjudged(error as Error, loaded, args, files, { runId, startedAt });
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
  runId: string,
  args: RunArguments,
  files: ResultFiles,
): Promise<void> {
  const { scenario } = loaded;
  const clean = cleanCommandOf(loaded, runId);
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
  const title = wrapLine(titleOf(scenario, runId), columns);
  // A command is copied: it is no line to wrap.
  if (clean !== undefined) title.push(`If it is killed: ${clean}`);
  stream.write(`${title.join('\n')}\n\n`);
  if (clean !== undefined) writeRunRecord(runId, scenario.broker!.url, clean);
  let liveRun: LiveRun | undefined;
  try {
    progress.start();
    progress.phase('loading');
    liveRun = await createRun(loaded, args, runId, progress);
    interruption.attach(liveRun);
    const summary = buildSummary(await liveRun.execute());
    progress.stop();
    const code = summary.interrupted === true ? interruption.exitCode : undefined;
    report(summary, loaded, args, files, code ?? exitCode(summary));
  } finally {
    progress.stop();
    interruption.stop();
    if (liveRun?.isClean !== false) removeRunRecord(runId, process.pid);
  }
}

function titleOf(scenario: Scenario, runId: string): string {
  const devices = deviceCount(scenario).toLocaleString('en');
  const broker = scenario.broker?.url ?? 'an embedded broker';
  return `${scenario.name}: ${devices} devices on ${broker}, seed ${scenario.seed}, run ${runId}`;
}

/** Its libraries take half a second: the title is there before. */
async function createRun(
  loaded: LoadedScenario,
  args: RunArguments,
  runId: string,
  progress: Progress,
): Promise<LiveRun> {
  const module = await import('../live/live-run.ts');
  return new module.LiveRun(loaded, {
    ...given('workers', args.workers),
    run: runId,
    isRunNew: args.run === undefined,
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
  const mistakes = write(summary, renderSummary, secrets, args, files);
  if (mistakes.length > 0) throw new OutputError(mistakes.join('\n'), code === 0 ? 1 : code);
  process.exitCode = code;
}

/** What could not be judged is told to the machines that wait for a verdict too. */
function reportUnjudged(
  error: Error,
  loaded: LoadedScenario | undefined,
  args: RunArguments,
  files: ResultFiles,
  start: { readonly runId: string; readonly startedAt: Date },
): void {
  const { runId, startedAt } = start;
  const summary = unjudgedSummary(loaded ?? unreadScenario(args.scenario), {
    runId,
    reason: error.message,
    interrupted: error instanceof RunError && error.isInterruption,
    startedAt: startedAt.toISOString(),
    wallMs: Date.now() - startedAt.getTime(),
  });
  // What did not begin has no end to show: people are told why on stderr.
  const render = error instanceof RunError ? renderUnjudged : () => '';
  for (const mistake of write(summary, render, loaded?.secrets ?? [], args, files)) {
    console.error(`flotilla: ${mistake}`);
  }
}

/** Returns what could not be written, a line for each file. */
function write(
  summary: Summary,
  render: typeof renderSummary,
  secrets: readonly string[],
  args: RunArguments,
  files: ResultFiles,
): string[] {
  const text = args.json ? renderJson(summary) : render(summary, display());
  process.stdout.write(redact(text, secrets));
  return files.write(summary, secrets);
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
