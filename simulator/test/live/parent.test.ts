// A process of a run that speaks when the run has just gone, and has not heard so yet.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { moduleUrl } from '../../src/live/child.ts';
import { folder } from '../support/scenario.ts';

test('a run that is gone is told nothing, and its process ends without a word', async () => {
  const file = join(folder, 'late.mjs');
  const program = `
    import { tellParent } from '${moduleUrl('parent')}';
    process.on('disconnect', () => process.exit());
    tellParent({ kind: 'ready' });
    // The run goes now, and until this turn is over nobody here can know.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    tellParent({ kind: 'late' });`;
  writeFileSync(file, program);
  const child = fork(file, [], { execArgv: [], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream!.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
  }
  await once(child, 'message');
  child.disconnect();
  const [[code]] = await Promise.all([
    once(child, 'exit'),
    once(child.stdout!, 'end'),
    once(child.stderr!, 'end'),
  ]);
  expect([code, printed]).toEqual([0, '']);
});
