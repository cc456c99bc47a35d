// `npm run test:xs`: the SDK's own tests on the XS engine, its modules frozen as preload does it, a
// device within its budget of RAM, and Ed25519 by 2,000 signatures.
//
//   --files PART       only test files whose path holds PART
//   --signatures N     how many signatures (default 2,000), --seed S which ones

import { parseArgs } from 'node:util';
import { signatureCases } from '../../sdk/test/ports/noble/signatures.ts';
import { loadedDevice, measureDevice } from './device-heap.ts';
import { bytesOn32 } from './heap.ts';
import { loadedVerifier, verifyOnXs } from './signatures.ts';
import { type FileOutcome, runSuite, suiteFiles } from './suite.ts';

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '' },
    signatures: { type: 'string', default: '2000' },
    seed: { type: 'string' },
  },
});

function printFile({ failures, file, leftOut, passed }: FileOutcome, ms: number): void {
  const counts = `${passed} passed${leftOut > 0 ? `, ${leftOut} left to Node` : ''}`;
  console.log(`${failures.length > 0 ? 'FAILED ' : 'passed '}  ${file} (${counts}, ${ms | 0} ms)`);
  // The rest of a stack is of the harness.
  for (const failure of failures) console.log(failure.split('\n').slice(0, 6).join('\n'));
}

/** Prints a line per file; answers how many tests failed. */
async function runTests(part: string): Promise<number> {
  const { files, staying } = suiteFiles();
  for (const [file, reason] of staying) console.log(`on Node  ${file}: ${reason}`);
  const chosen = files.filter((file) => file.includes(part));
  const outcome = await runSuite(chosen, { onFile: printFile });
  const { functionCount, moduleCount, objectCount } = outcome;
  console.log(
    `frozen: ${functionCount} functions and ${objectCount} objects of the engine and of ` +
      `${moduleCount} modules`,
  );
  return outcome.files.reduce((sum, { failures }) => sum + failures.length, 0);
}

async function runDevice(): Promise<void> {
  const { stackSlots, total } = await measureDevice(await loadedDevice());
  console.log(
    `device: ${total.slots} slots, ${total.chunkBytes} bytes of chunks, ` +
      `${bytesOn32(total)} bytes on 32 bits; a stack of ${stackSlots} slots`,
  );
}

/** Answers how many verdicts were wrong. */
async function runSignatures(seed: number, count: number): Promise<number> {
  console.log(`SEED=${seed} ${count} signatures`);
  const wrong = await verifyOnXs(await loadedVerifier(), signatureCases(seed, count));
  for (const kind of wrong) console.log(`FAILED  SEED=${seed} ${kind}`);
  return wrong.length;
}

const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
let failed = await runTests(values.files);
await runDevice();
failed += await runSignatures(seed, Number(values.signatures));
console.log(failed === 0 ? 'PASS' : `FAIL: ${failed}`);
process.exitCode = failed === 0 ? 0 : 1;
