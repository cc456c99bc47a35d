// How `npm run check` runs its checks: side by side, told one after another, and ended as a whole.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Check, Runner, type Verdict } from '../scripts/check.ts';

async function verdictsOf(
  checks: readonly Check[],
  lanes: number,
  runner = new Runner(),
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for await (const verdict of runner.run(checks, lanes)) verdicts.push(verdict);
  return verdicts;
}

function script(name: string, code: string): Check {
  return { name, command: ['-e', code] };
}

/** Calls `onAll` with the connections, once there are `count` of them. */
async function meet(count: number, onAll: (sockets: readonly Socket[]) => void): Promise<Server> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => undefined));
    if (sockets.length === count) onAll(sockets);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: Server): number {
  return (server.address() as { port: number }).port;
}

test('checks run at once, and the output of each is whole and in order', async () => {
  // Neither ends before both run: one after another they would hang.
  const server = await meet(2, (sockets) => {
    for (const socket of sockets.toReversed()) socket.end('go');
  });
  const speak = (who: string, code: number) =>
    `process.stdout.write('${who} 1, ');
    require('node:net').connect(${portOf(server)}, '127.0.0.1').on('data', () => {
      console.log('${who} 2');
      process.exitCode = ${code};
    });`;
  const verdicts = await verdictsOf(
    [
      script('one', speak('a', 3)),
      script('two', speak('b', 0)),
      script('three', "throw new Error('c');"),
      { name: 'four', command: ['no-such-file.mjs'] },
    ],
    2,
  );
  server.close();
  expect(verdicts.map(({ name, passed }) => [name, passed])).toEqual([
    ['one', false],
    ['two', true],
    ['three', false],
    ['four', false],
  ]);
  const outputs = verdicts.map(({ output }) => output);
  expect(outputs.slice(0, 2)).toEqual(['a 1, a 2\n', 'b 1, b 2\n']);
  expect(outputs[2]).toContain('Error: c');
  expect(outputs[3]).toContain('no-such-file.mjs');
});

test('no more checks run at once than there are lanes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-check-'));
  const only = JSON.stringify(join(folder, 'only-one'));
  // Fails while another has the folder.
  const hold = `const fs = require('node:fs');
    fs.mkdirSync(${only});
    setTimeout(() => fs.rmdirSync(${only}), 100);`;
  const verdicts = await verdictsOf(
    ['one', 'two', 'three', 'four'].map((name) => script(name, hold)),
    1,
  );
  rmSync(folder, { recursive: true });
  expect(verdicts.map(({ output, passed }) => [output, passed])).toEqual(Array(4).fill(['', true]));
});

test('stopped, a check ends with all that it started, and the next does not begin', async () => {
  const runner = new Runner();
  const gone: Promise<unknown>[] = [];
  const server = await meet(2, (sockets) => {
    for (const socket of sockets) gone.push(once(socket, 'close'));
    runner.stop();
  });
  const stay = `require('node:net').connect(${portOf(server)}, '127.0.0.1');`;
  const parent = `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(stay)}]);`;
  const checks = [script('family', parent + stay), script('next', stay)];
  const verdicts = await verdictsOf(checks, 1, runner);
  await Promise.all(gone);
  server.close();
  expect(gone).toHaveLength(2);
  expect(verdicts.map(({ passed }) => passed)).toEqual([false, false]);
});
