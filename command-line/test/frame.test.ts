import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Command, CommandGroup } from '../src/commands.ts';
import { CommandError, InputError, UsageError } from '../src/errors.ts';
import { type Frame, runCommandLine } from '../src/frame.ts';

interface ShipArguments {
  cargo: string;
  speed?: number;
  port?: string[];
  flag: 'red' | 'green';
  dry: boolean;
  dryRun?: string;
}

class Storm extends Error {}

let taken: ShipArguments[] = [];
let outcome: unknown;

const ship: Command<ShipArguments> = {
  command: 'ship <cargo> [harbour]',
  describe: 'Ship cargo',
  builder: (command) =>
    command
      .positional('cargo', { type: 'string', demandOption: true })
      .positional('harbour', { type: 'string' })
      .option('speed', { type: 'number' })
      .option('port', { type: 'string', array: true, nargs: 1 })
      .option('flag', { choices: ['red', 'green'] as const, demandOption: true })
      .option('dry', { type: 'boolean', default: false })
      .option('dry-run', { type: 'string' })
      .option('version', { type: 'string' })
      .check(({ speed }) => {
        if (speed === 13) throw new Error('--speed: expected another number');
        return true;
      }),
  handler: async (args) => {
    taken.push(args);
    await Promise.resolve();
    if (outcome !== undefined) throw outcome;
  },
};

const fleet: CommandGroup = { name: 'fleet', describe: 'Many ships', commands: [ship] };

const FRAME: Frame = {
  name: 'sail',
  description: 'Ships.',
  package: new URL('../package.json', import.meta.url),
  commands: [ship, fleet],
  epilogue: 'Exit codes: 0.',
  explain: (error) => (error instanceof Storm ? new CommandError('storm', 130) : error),
};

beforeEach(() => {
  taken = [];
  outcome = undefined;
  vi.spyOn(console, 'log').mockImplementation(() => undefined);
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
});
afterEach(() => vi.restoreAllMocks());

/** Its exit code, and what it printed on stderr. */
async function sail(...args: readonly string[]): Promise<[number, string]> {
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    await runCommandLine(FRAME, args);
    return [Number(process.exitCode ?? 0), vi.mocked(console.error).mock.calls.join('\n')];
  } finally {
    process.exitCode = before;
  }
}

test('a command gets its arguments', async () => {
  const options = ['--speed=-1.5', '--port', 'a', '--port=b', '--flag', 'red', '--version', '1'];
  expect(await sail('ship', 'tea', ...options, '--no-dry', '--dryRun=x')).toEqual([0, '']);
  expect(await sail('fleet', 'ship', 'tea', '--flag', 'green', '--dry')).toEqual([0, '']);
  expect(await sail('ship', '--flag', 'red', '--', 'salt')).toEqual([0, '']);
  expect(taken).toMatchObject([
    { cargo: 'tea', speed: -1.5, port: ['a', 'b'], flag: 'red', dry: false, dryRun: 'x' },
    { cargo: 'tea', flag: 'green', dry: true },
    { cargo: 'salt', flag: 'red' },
  ]);
});

test('--version is that of the package, and no command', async () => {
  expect(await sail('--version')).toEqual([0, '']);
  const { version } = JSON.parse(readFileSync(FRAME.package, 'utf8'));
  expect(console.log).toHaveBeenCalledExactlyOnceWith(`sail ${version}`);
});

describe('a wrong command line: every mistake, and where the help is', () => {
  const good = ['ship', 'tea', '--flag', 'red'];
  test.each<[string[], string[], string]>([
    [[], ['Which command? sail --help lists them.'], 'sail'],
    [['fleet'], ['Which command? sail fleet --help lists them.'], 'sail fleet'],
    [['shp'], ['Unknown command: shp. Did you mean ship?'], 'sail'],
    [['swim', '--fast'], ['Unknown command: swim'], 'sail'],
    [['fleet', 'shipp', 'x'], ['Unknown command: shipp. Did you mean ship?'], 'sail fleet'],
    [['--spede', '1'], ['Which command? sail --help lists them.'], 'sail'],
    [
      ['ship'],
      ['--flag is missing', '<cargo> is missing: sail ship <cargo> [harbour]'],
      'sail ship',
    ],
    [['ship', 'tea'], ['--flag is missing'], 'sail ship'],
    [
      ['ship', '--spede', '1'],
      [
        'Unknown option: --spede. Did you mean --speed?',
        '<cargo> is missing: sail ship <cargo> [harbour]',
      ],
      'sail ship',
    ],
    [[...good, 'here', 'there'], ['Unexpected argument: there'], 'sail ship'],
    [
      [...good, '--foo', '--bar=1', '-x'],
      ['Unknown option: --foo', 'Unknown option: --bar', 'Unknown option: -x'],
      'sail ship',
    ],
    [[...good, '--no-speed'], ['Unknown option: --no-speed. Did you mean --speed?'], 'sail ship'],
    [[...good, '--dry=maybe'], ['--dry: takes no value, got maybe'], 'sail ship'],
    [
      [...good, '--speed', '--dry-run'],
      ['--speed: needs a value', '--dry-run: needs a value'],
      'sail ship',
    ],
    [[...good, '--speed', 'x'], ['--speed: expected a number, got x'], 'sail ship'],
    [[...good, '--speed=1e'], ['--speed: expected a number, got 1e'], 'sail ship'],
    [[...good, '--dry-run='], ['--dry-run: needs a value, got an empty one'], 'sail ship'],
    [[...good, '--port', ' '], ['--port: needs a value, got an empty one'], 'sail ship'],
    [[...good, '--dry', '--no-dry'], ['--dry: given more than once'], 'sail ship'],
    [[...good, '--speed=1', '--speed=1'], ['--speed: given more than once'], 'sail ship'],
    [['ship', '', '--flag=red'], ['<cargo>: needs a value, got an empty one'], 'sail ship'],
    [
      ['ship', 'tea', '--flag', 'gren'],
      ['--flag: expected red or green, got gren. Did you mean green?'],
      'sail ship',
    ],
    [[...good, '--speed=13'], ['--speed: expected another number'], 'sail ship'],
  ])('%j', async (args, lines, typed) => {
    const help = `${typed} --help shows how it is used.`;
    expect(await sail(...args)).toEqual([2, [...lines, help].join('\n')]);
    expect(taken).toEqual([]);
  });

  test('in another language is told in English all the same', async () => {
    vi.stubEnv('LC_ALL', 'de_DE.UTF-8');
    expect((await sail('ship'))[1]).toContain('<cargo> is missing');
    vi.unstubAllEnvs();
  });
});

describe('a command that fails', () => {
  const run = () => sail('ship', 'tea', '--flag', 'red');

  test.each([
    [new CommandError('no wind'), 1, 'sail: no wind'],
    [new CommandError('no wind', 99), 99, 'sail: no wind'],
    [new UsageError('--a: b'), 2, '--a: b\nsail ship --help shows how it is used.'],
    [new InputError('map.yaml:3:1: dragons'), 2, 'map.yaml:3:1: dragons'],
    [new Storm(), 130, 'sail: storm'],
  ])('%s', async (error, code, text) => {
    outcome = error;
    expect(await run()).toEqual([code, text]);
  });

  test('by a bug keeps its stack trace', async () => {
    outcome = new TypeError('undefined is not a ship');
    await expect(run()).rejects.toBe(outcome);
    expect(console.error).not.toHaveBeenCalled();
  });
});
