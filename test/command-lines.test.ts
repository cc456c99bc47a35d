// The three commands take their arguments alike: what is wrong is told in words for people, at once,
// with exit code 2, and nothing is done.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What a user may say, and what is told: all but the last line, which says where the help is. */
type Mistake = [args: string, lines: string[], typed?: string];

const COMMANDS: Readonly<Record<string, { folder: string; mistakes: Mistake[] }>> = {
  flotilla: {
    folder: 'simulator',
    mistakes: [
      ['', ['Which command? flotilla --help lists them.']],
      ['rnu', ['Unknown command: rnu. Did you mean run?']],
      ['shadow', ['Which command? flotilla shadow --help lists them.'], ' shadow'],
      ['shadow wacth x', ['Unknown command: wacth. Did you mean watch?'], ' shadow'],
      ['run', ['<scenario> is missing: flotilla run <scenario>'], ' run'],
      ['validate', ['<scenario> is missing: flotilla validate <scenario..>'], ' validate'],
      [
        'shadow set pump --broker mqtt://h',
        ['<values> is missing: flotilla shadow set <device> <values..>'],
        ' shadow set',
      ],
      [
        'clean --topics x/{id}/{topic}',
        ['--run is missing: flotilla clean alone names the runs left behind'],
        ' clean',
      ],
      [
        'clean --run r1',
        ['--broker is missing: where the run was, or --scenario, which says so'],
        ' clean',
      ],
      [
        'run a.yaml --device 5 --bar',
        ['Unknown option: --device. Did you mean --devices?', 'Unknown option: --bar'],
        ' run',
      ],
      ['run a.yaml b.yaml', ['Unexpected argument: b.yaml'], ' run'],
      ['run a.yaml --broker', ['--broker: needs a value'], ' run'],
      ['run a.yaml --set --ci', ['--set: needs a value'], ' run'],
      ['run a.yaml --seed ""', ['--seed: needs a value, got an empty one'], ' run'],
      ['run ""', ['<scenario>: needs a value, got an empty one'], ' run'],
      ['run a.yaml --workers x', ['--workers: expected a number, got x'], ' run'],
      ['run a.yaml --workers 0', ['--workers: expected a whole number from 1 on, got 0'], ' run'],
      ['run a.yaml --seed 1 --seed 2', ['--seed: given more than once'], ' run'],
      ['run a.yaml --json --json', ['--json: given more than once'], ' run'],
      ['run a.yaml --ci=perhaps', ['--ci: takes no value, got perhaps'], ' run'],
      ['run a.yaml --version', ['Unknown option: --version'], ' run'],
    ],
  },
  'flotilla-ota': {
    folder: 'ota-server',
    mistakes: [
      ['', ['Which command? flotilla-ota --help lists them.']],
      ['sing app.bin', ['Unknown command: sing. Did you mean sign?']],
      ['rollout', ['Which command? flotilla-ota rollout --help lists them.'], ' rollout'],
      ['rollout statsu x', ['Unknown command: statsu. Did you mean status?'], ' rollout'],
      ['keygen', ['<name> is missing: flotilla-ota keygen <name>'], ' keygen'],
      [
        'sign app.bin',
        ['--version is missing', '--vendor is missing', '--class is missing', '--key is missing'],
        ' sign',
      ],
      ['serve --prot 1', ['Unknown option: --prot. Did you mean --port?'], ' serve'],
      ['serve --port', ['--port: needs a value'], ' serve'],
      ['serve --port x', ['--port: expected a number, got x'], ' serve'],
      [
        'serve --port 70000',
        ['--port: expected a whole number from 0 to 65535, got 70000'],
        ' serve',
      ],
      ['serve --host=', ['--host: needs a value, got an empty one'], ' serve'],
      ['serve --data a --data b', ['--data: given more than once'], ' serve'],
      ['serve now', ['Unexpected argument: now'], ' serve'],
      ['inspect ""', ['<envelope>: needs a value, got an empty one'], ' inspect'],
      [
        'rollout create 1.0.0 --sample-min --on-failure=roll-bakc',
        [
          '--sample-min: needs a value',
          '--on-failure: expected stop or roll-back, got roll-bakc. Did you mean roll-back?',
        ],
        ' rollout create',
      ],
    ],
  },
  'flotilla-boot': {
    folder: 'bootloader-sim',
    mistakes: [
      ['', ['Which command? flotilla-boot --help lists them.']],
      ['campagin', ['Unknown command: campagin. Did you mean campaign?']],
      ['image', ['Which command? flotilla-boot image --help lists them.'], ' image'],
      ['image crate x', ['Unknown command: crate. Did you mean create?'], ' image'],
      ['image info', ['<file> is missing: flotilla-boot image info <file>'], ' image info'],
      ['keygen', ['--out is missing'], ' keygen'],
      ['campaign --wrokers 1', ['Unknown option: --wrokers. Did you mean --workers?'], ' campaign'],
      ['campaign --replay', ['--replay: needs a value'], ' campaign'],
      ['campaign --workers x', ['--workers: expected a number, got x'], ' campaign'],
      [
        'campaign --seed -1',
        ['--seed: expected a whole number from 0 to 2147483647, got -1'],
        ' campaign',
      ],
      ['campaign --seed 1 --seed 1', ['--seed: given more than once'], ' campaign'],
      ['campaign fast', ['Unexpected argument: fast'], ' campaign'],
      ['flash info ""', ['<file>: needs a value, got an empty one'], ' flash info'],
      ['keygen --out ""', ['--out: needs a value, got an empty one'], ' keygen'],
      [
        'campaign --profile=harden',
        ['--profile: expected hardened or esp-idf, got harden. Did you mean hardened?'],
        ' campaign',
      ],
      ['campaign --without', ['--without: needs a value'], ' campaign'],
    ],
  },
};

interface CommandLine {
  main(args: readonly string[]): Promise<void>;
}

beforeEach(() => {
  vi.spyOn(console, 'log').mockImplementation(() => undefined);
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
});
afterEach(() => vi.restoreAllMocks());

/** Its exit code, what it printed, and what it complained about. */
async function run(folder: string, args: readonly string[]): Promise<[number, string, string]> {
  const cli = pathToFileURL(join(root, folder, 'src/cli.ts')).href;
  const { main } = (await import(cli)) as CommandLine;
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    await main(args);
    const text = (print: typeof console.log) => vi.mocked(print).mock.calls.flat().join('\n');
    return [Number(process.exitCode ?? 0), text(console.log), text(console.error)];
  } finally {
    process.exitCode = before;
  }
}

describe.each(Object.entries(COMMANDS))('%s', (name, { folder, mistakes }) => {
  test.each<Mistake>(mistakes)('%s', async (line, lines, typed = '') => {
    const args = line.split(' ').filter(Boolean);
    const help = `${name}${typed} --help shows how it is used.`;
    const told = [...lines, help].join('\n');
    const given = args.map((arg) => (arg === '""' ? '' : arg));
    expect(await run(folder, given)).toEqual([2, '', told]);
  });

  test('--help of every command has an example, and says what each option is', async () => {
    // yargs ends the process when it has shown the help.
    const exit = vi.spyOn(process, 'exit').mockImplementation((() => undefined) as () => never);
    const waiting: string[][] = [[]];
    let count = 0;
    for (const words of waiting) {
      vi.mocked(console.log).mockClear();
      const [, help] = await run(folder, [...words, '--help']);
      expect(exit).toHaveBeenLastCalledWith(0);
      const typed = [name, ...words].join(' ');
      const commands = [...help.matchAll(new RegExp(`^ {2}${typed} ([\\w-]+) `, 'gm'))];
      if (help.includes('\nCommands:\n')) {
        expect(commands.length, typed).toBeGreaterThan(1);
        waiting.push(...commands.map(([, word = '']) => [...words, word]));
      } else {
        count += 1;
        expect(help, typed).toContain('\nExamples:\n');
      }
      expect(help.match(/^ +(-\w, )?--[\w-]+ +\[.*/gm), typed).toBeNull();
    }
    expect(count).toBeGreaterThan(4);
  });

  test('--version is that of its package', async () => {
    const { version } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
    expect(await run(folder, ['--version'])).toEqual([0, `${name} ${version}`, '']);
  });
});
