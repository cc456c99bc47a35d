// The Moddable port against fakes of Moddable's modules, in a bare vm of Node and on XS, with its
// modules frozen as preload does it.

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { bundleForXs, root } from '../scripts/xs/bundle.ts';
import { programOf, runSuite } from '../scripts/xs/suite.ts';
import { describeOnXs } from './xs-engine.ts';

const CHECKS = 'sdk/test/ports/moddable/port-checks.ts';

const fake = (name: string) => join(root, 'sdk/test/ports/moddable/fakes', name);

/** Moddable's modules by the fakes of them. */
const FAKES: Readonly<Record<string, string>> = {
  'embedded:io/socket/tcp': fake('tcp.ts'),
  'embedded:io/socket/tls': fake('tls.ts'),
  'embedded:network/http/client': fake('http-client.ts'),
  'embedded:storage/key-value': fake('key-value.ts'),
  'embedded:storage/flash': fake('flash.ts'),
  sntp: fake('sntp.ts'),
  timer: fake('timer.ts'),
  time: fake('time.ts'),
  crypt: fake('crypt.ts'),
  'flotilla/native': fake('native.ts'),
};

interface Answer {
  result?: ArrayBuffer;
}

/** The same bundle in a context that has nothing of Node. */
async function runInVm(): Promise<{ passed: number; failures: string[] }> {
  const script = await bundleForXs({ code: programOf([CHECKS]), standIns: FAKES });
  const context = createContext({ TextEncoder, TextDecoder, print: console.log });
  runInContext(script, context);
  const answer: Answer = runInContext('handleCommand', context)(new TextEncoder().encode('0'));
  for (let turn = 0; answer.result === undefined && turn < 1000; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  return JSON.parse(new TextDecoder().decode(answer.result));
}

describe('the Moddable port', () => {
  test('in a bare vm', async () => {
    const { failures, passed } = await runInVm();
    expect(failures).toEqual([]);
    expect(passed).toBeGreaterThan(10);
  });

  test('every host module that it imports is declared, and has a fake', () => {
    const imported = globSync('sdk/ports/moddable/*.ts', { cwd: root, exclude: ['**/*.d.ts'] })
      .map((path) => readFileSync(join(root, path), 'utf8'))
      .flatMap((text) => [...text.matchAll(/from '([^.'][^']*)'/g)].map(([, name]) => name!));
    expect([...new Set(imported)].sort()).toEqual(Object.keys(FAKES).sort());
  });
});

describeOnXs('the Moddable port on XS', () => {
  test('frozen', async () => {
    const { files } = await runSuite([CHECKS], { standIns: FAKES });
    expect(files[0]!.failures).toEqual([]);
    expect(files[0]!.passed).toBeGreaterThan(10);
  });
});
