// `flotilla-ota rollout`: rollouts at a server.

import {
  type Command,
  CommandError,
  type CommandGroup,
  readText,
  UsageError,
} from '@flotilla/command-line';
import { parseDuration } from '@flotilla/command-line/quantities';
import type { RolloutInput } from '../control/input.ts';
import type { RolloutStatusView } from '../control/rollouts.ts';
import { ApiClient, type ServerArguments, serverOptions } from './api-client.ts';
import { renderRollout } from './rollout-view.ts';

interface CreateArguments extends ServerArguments {
  release: string;
  id?: string;
  waves: string;
  soak: string;
  sampleMin: number;
  failureRatioMax: number;
  successRatioMin: number;
  approval: boolean;
  spread?: string;
  timeout?: string;
  onFailure: 'stop' | 'roll-back';
  group?: string;
  draft: boolean;
  file?: string;
}

interface RolloutArguments extends ServerArguments {
  rollout: string;
}

const WATCH_MS = 1000;
const ENDED = ['completed', 'stopped', 'aborted', 'rolled-back'];

const createCommand: Command<CreateArguments> = {
  command: 'create <release>',
  describe: 'Roll a release out in waves',
  builder: (command) =>
    serverOptions(
      command
        .positional('release', { type: 'string', demandOption: true, describe: 'Id or version' })
        .option('id', { type: 'string', describe: 'Default: from the version' })
        .option('waves', {
          type: 'string',
          default: '5,25,100',
          describe: 'Percentages, cumulative',
        })
        .option('soak', {
          type: 'string',
          default: '1h',
          describe: 'Of each wave, before the next',
        })
        .option('sample-min', {
          type: 'number',
          default: 20,
          describe: 'Results before a judgement',
        })
        .option('failure-ratio-max', { type: 'number', default: 0.05, describe: 'Above: stops' })
        .option('success-ratio-min', {
          type: 'number',
          default: 0.95,
          describe: 'For the next wave',
        })
        .option('approval', {
          type: 'boolean',
          default: false,
          describe: 'Every wave after the first waits for approve',
        })
        .option('spread', { type: 'string', describe: 'Opens the last wave evenly over 2d' })
        .option('timeout', { type: 'string', describe: 'Of a device that took the offer; 24h' })
        .option('on-failure', {
          choices: ['stop', 'roll-back'] as const,
          default: 'stop' as const,
          describe: 'What too many failures lead to',
        })
        .option('group', { type: 'string', describe: 'Only these groups of devices: lab,office' })
        .option('draft', { type: 'boolean', default: false, describe: 'Do not start it yet' })
        .option('file', { type: 'string', describe: 'JSON as POST /v1/rollouts takes it, instead' })
        .example('$0 rollout create 2.0.0', '5 %, 25 %, then everybody')
        .example('$0 rollout create 2.0.0 --waves 1,10,100 --soak 6h --approval', ''),
    ),
  handler: async (args) => {
    const input = args.file === undefined ? inputOf(args) : readInput(args.file, args.release);
    const view = (await new ApiClient(args).post('/v1/rollouts', input)) as RolloutStatusView;
    print(view, args.json);
  },
};

function inputOf(args: CreateArguments): RolloutInput {
  const { approval, failureRatioMax, group, onFailure, release, sampleMin, successRatioMin } = args;
  const percents = args.waves.split(',').map(Number);
  if (percents.some((percent) => !Number.isFinite(percent))) {
    throw new UsageError(`--waves: expected percentages like 5,25,100, got ${args.waves}`);
  }
  const soakMs = duration('--soak', args.soak);
  const waves = percents.map((percent, index) => ({
    percent,
    soakMs,
    failureRatioMax,
    successRatioMin,
    sampleMin,
    ...(approval && index > 0 ? { approval } : {}),
    ...(args.spread !== undefined && index === percents.length - 1
      ? { spreadMs: duration('--spread', args.spread) }
      : {}),
  }));
  return {
    release,
    waves,
    onFailure,
    start: !args.draft,
    ...(args.id === undefined ? {} : { id: args.id }),
    ...(group === undefined ? {} : { target: { groups: group.split(',') } }),
    ...(args.timeout === undefined ? {} : { offerTimeoutMs: duration('--timeout', args.timeout) }),
  };
}

function readInput(file: string, release: string): RolloutInput {
  try {
    return { ...(JSON.parse(readText(file)) as object), release };
  } catch (error) {
    if (error instanceof SyntaxError) throw new CommandError(`${file}: ${error.message}`);
    throw error;
  }
}

function duration(option: string, text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new UsageError(`${option}: expected 90s, 15m, 1h or 2d, got ${text}`);
  return ms;
}

const statusCommand: Command<RolloutArguments & { watch: boolean }> = {
  command: 'status <rollout>',
  describe: 'Show where a rollout stands, wave by wave',
  builder: (command) =>
    serverOptions(
      command
        .positional('rollout', { type: 'string', demandOption: true })
        .option('watch', { type: 'boolean', default: false, describe: 'Follow it to its end' })
        .example('$0 rollout status 2.0.0-r1 --watch', 'exit code 1 unless it completes'),
    ),
  handler: async (args) => {
    const client = new ApiClient(args);
    let view = await statusOf(client, args.rollout);
    if (!args.watch) return print(view, args.json);
    const isTerminal = process.stdout.isTTY && !args.json;
    let last = '';
    for (;;) {
      const text = args.json ? JSON.stringify(view) : renderRollout(view, Date.now());
      // A terminal shows one picture that moves; a file gets a new one where something changed.
      if (isTerminal) process.stdout.write(`${eraseLines(last)}${text}\n`);
      else if (text !== last) process.stdout.write(`${text}\n`);
      last = text;
      if (ENDED.includes(view.status)) break;
      await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
      view = await statusOf(client, args.rollout);
    }
    process.exitCode = view.status === 'completed' ? 0 : 1;
  },
};

const listCommand: Command<ServerArguments> = {
  command: 'list',
  describe: 'List the rollouts of a server',
  builder: (command) =>
    serverOptions(command).example('$0 rollout list --json', 'for a machine that reads it'),
  handler: async (args) => {
    const { rollouts } = (await new ApiClient(args).get('/v1/rollouts')) as {
      rollouts: (RolloutStatusView & { waveCount: number })[];
    };
    if (args.json) console.log(JSON.stringify(rollouts, undefined, 2));
    else if (rollouts.length === 0) console.log('no rollouts');
    for (const { rollout, status, version, wave, waveCount } of args.json ? [] : rollouts) {
      console.log(`${rollout}: ${version}, ${status}, wave ${wave + 1} of ${waveCount}`);
    }
  },
};

/** A command that is one operator's event. */
function operator(type: string, describe: string): Command<RolloutArguments> {
  return {
    command: `${type} <rollout>`,
    describe,
    builder: (command) =>
      serverOptions(
        command
          .positional('rollout', { type: 'string', demandOption: true, describe: 'Its id' })
          .example(`$0 rollout ${type} 2.0.0-r1`, ''),
      ),
    handler: async (args) => {
      const path = `/v1/rollouts/${encodeURIComponent(args.rollout)}/${type}`;
      print((await new ApiClient(args).post(path)) as RolloutStatusView, args.json);
    },
  };
}

async function statusOf(client: ApiClient, rollout: string): Promise<RolloutStatusView> {
  return (await client.get(`/v1/rollouts/${encodeURIComponent(rollout)}`)) as RolloutStatusView;
}

function print(view: RolloutStatusView, json: boolean): void {
  console.log(json ? JSON.stringify(view, undefined, 2) : renderRollout(view, Date.now()));
}

function eraseLines(text: string): string {
  if (text === '') return '';
  return `\u001b[${text.split('\n').length}A\u001b[0J`;
}

export const rolloutCommand: CommandGroup = {
  name: 'rollout',
  describe: 'Rollouts at a server: waves, gates, and the way back',
  commands: [
    createCommand,
    statusCommand,
    listCommand,
    operator('start', 'Start a draft'),
    operator('approve', 'Let the waiting wave open'),
    operator('pause', 'Offer the release to nobody new'),
    operator('resume', 'Go on where it was paused or stopped'),
    operator('abort', 'End it: devices that have not begun are told'),
    operator('rollback', 'Take devices back, by the signed rollback release'),
    operator('retry', 'Let failed devices try again'),
  ],
};
