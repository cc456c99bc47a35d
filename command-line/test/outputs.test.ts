// What becomes of a command whose reader leaves, as a process of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { ENDING_SIGNALS, exitCodeOf } from '../src/outputs.ts';

const OUTPUTS = new URL('../src/outputs.ts', import.meta.url).href;
const FRAME = new URL('../src/frame.ts', import.meta.url).href;

/** Runs a module whose reader leaves after the first line of `stream`. */
async function run(stream: 'stdout' | 'stderr', program: string): Promise<[number, string]> {
  const args = ['--input-type=module', '--eval', program];
  const child = spawn(process.execPath, args, {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let others = '';
  child[stream === 'stdout' ? 'stderr' : 'stdout'].on('data', (chunk) => {
    others += String(chunk);
  });
  child[stream].once('data', () => child[stream].destroy());
  const [code] = (await once(child, 'exit')) as [number];
  return [code, others];
}

describe.each(['stdout', 'stderr'] as const)('a reader of %s that leaves', (stream) => {
  const writes = `setInterval(() => process.${stream}.write('line\\n'), 10);`;

  test('ends the process quietly, with the code that it has', async () => {
    const program = `
      import { watchOutputs } from '${OUTPUTS}';
      watchOutputs();
      process.exitCode = 3;
      ${writes}`;
    expect(await run(stream, program)).toEqual([3, '']);
  });

  test('is told to what listens, once, and the process goes on', async () => {
    const other = stream === 'stdout' ? 'stderr' : 'stdout';
    const program = `
      import { isOutputClosed, watchOutputs, whenOutputCloses } from '${OUTPUTS}';
      watchOutputs();
      watchOutputs();
      let calls = 0;
      const stop = whenOutputCloses(() => {
        calls += 1;
        setTimeout(() => {
          process.${other}.write(calls + ' ' + isOutputClosed());
          process.exitCode = 7;
          stop();
        }, 100);
      });
      ${writes}`;
    expect(await run(stream, program)).toEqual([7, '1 true']);
  });

  test('ends what waits for an interruption', async () => {
    const program = `
      import { untilInterrupted, watchOutputs } from '${OUTPUTS}';
      watchOutputs();
      const timer = ${writes}
      await untilInterrupted();
      clearInterval(timer);
      process.exitCode = 5;`;
    expect(await run(stream, program)).toEqual([5, '']);
  });
});

test('an interruption by the reader is not told as an error', async () => {
  const program = `
    import { CommandError } from '${new URL('../src/errors.ts', import.meta.url).href}';
    import { whenOutputCloses } from '${OUTPUTS}';
    import { runCommandLine } from '${FRAME}';
    const wait = {
      command: 'wait',
      describe: 'Wait',
      builder: () => undefined,
      handler: () => new Promise((resolve, reject) => {
        const timer = setInterval(() => console.log('line'), 10);
        whenOutputCloses(() => {
          clearInterval(timer);
          reject(new CommandError('interrupted', 130));
        });
      }),
    };
    const file = new URL('${new URL('../package.json', import.meta.url).href}');
    const frame = { name: 'sail', description: '', package: file, commands: [wait], epilogue: '' };
    await runCommandLine(frame, ['wait']);`;
  expect(await run('stdout', program)).toEqual([130, '']);
});

describe.skipIf(!existsSync('/dev/full'))('an output on a full disk', () => {
  /** Runs a module whose output `stream` goes there; its code, and what came by the other. */
  async function runFull(stream: 'stdout' | 'stderr', program: string): Promise<[number, string]> {
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', stream === 'stdout' ? full : 'pipe', stream === 'stderr' ? full : 'pipe'],
    });
    closeSync(full);
    let others = '';
    child[stream === 'stdout' ? 'stderr' : 'stdout']!.on('data', (chunk) => {
      others += String(chunk);
    });
    const [code] = (await once(child, 'close')) as [number];
    return [code, others];
  }

  const writes = (stream: string, code: number) => `
    import { watchOutputs } from '${OUTPUTS}';
    watchOutputs();
    process.${stream}.write('one');
    setTimeout(() => process.${stream}.write('two'), 20);
    process.exitCode = ${code};`;

  test('is told once, and fails the command', async () => {
    const told = 'standard output: no space left\n';
    expect(await runFull('stdout', writes('stdout', 0))).toEqual([1, told]);
    expect(await runFull('stdout', writes('stdout', 99))).toEqual([99, told]);
  });

  test('that is stderr fails it without a word', async () => {
    expect(await runFull('stderr', writes('stderr', 0))).toEqual([1, '']);
  });
});

test.each(ENDING_SIGNALS)('%s ends what waits for an interruption', async (signal) => {
  const program = `
    import { untilInterrupted } from '${OUTPUTS}';
    const timer = setInterval(() => undefined, 1000);
    const end = untilInterrupted();
    console.log('waiting');
    await end;
    clearInterval(timer);
    process.exitCode = 5;`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program]);
  child.stdout.once('data', () => child.kill(signal));
  expect(await once(child, 'exit')).toEqual([5, null]);
});

test('the exit codes of signals are those of a shell', () => {
  expect(ENDING_SIGNALS.map(exitCodeOf)).toEqual([130, 143, 129]);
});
