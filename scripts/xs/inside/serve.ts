// Answers the commands of ../suite.ts within XS: the index of a file runs its tests.

import { freezeEngine, frozenCensus } from './freeze.ts';
import { runTests } from './vitest.ts';

export interface TestFile {
  readonly load: () => void;
  /** Beginnings of the full names of tests that are left out. */
  readonly leftOut: readonly string[];
}

/** A command's answer comes late: the worker looks for `result` when all jobs have run. */
interface Answer {
  result?: ArrayBufferLike;
}

function answerWith(answer: Answer, value: unknown): void {
  answer.result = new TextEncoder().encode(JSON.stringify(value)).buffer;
}

async function run({ leftOut, load }: TestFile, answer: Answer): Promise<void> {
  const isLeftOut = (title: string) => leftOut.some((begin) => title.startsWith(begin));
  try {
    answerWith(answer, await runTests(load, isLeftOut));
  } catch (error) {
    answerWith(answer, { passed: 0, leftOut: 0, failures: [(error as Error).stack] });
  }
}

/** To be called when what is not the SDK has begun: the engine's own objects freeze here. */
export function serve(files: readonly TestFile[]): void {
  freezeEngine();
  const handleCommand = (bytes: ArrayBuffer): Answer => {
    const text = new TextDecoder().decode(bytes);
    const answer: Answer = {};
    if (text === 'census') answerWith(answer, frozenCensus());
    else void run(files[Number(text)] as TestFile, answer);
    return answer;
  };
  // The worker looks for it among the globals.
  Object.assign(globalThis, { handleCommand });
}
