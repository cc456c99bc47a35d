// The XS engine of npm's @agoric/xsnap, as a process: Moddable's own engine, with a meter, and with
// snapshots of its heap.
//
// We speak to its worker directly (netstrings on descriptors 3 and 4): the package's own client
// wants Node's globals locked down around it.

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { engineFolder, engineProblem } from '../install.mjs';

const FOLDERS: Readonly<Record<string, string>> = { linux: 'lin', darwin: 'mac' };

/** Where the worker stands; throws with what to do when it is not built. */
export function xsWorkerPath(): string {
  const folder = FOLDERS[process.platform];
  if (folder === undefined) throw new Error(`XS: no engine for ${process.platform}`);
  const problem = engineProblem();
  if (problem !== undefined) throw new Error(`XS: ${problem}`);
  const built = 'node_modules/@agoric/xsnap/xsnap-native/xsnap/build/bin';
  return join(engineFolder(), built, folder, 'release/xsnap-worker');
}

interface Waiting {
  readonly resolve: (text: string) => void;
  readonly reject: (error: Error) => void;
}

/** One XS machine. Requests are answered in order; its end rejects those that wait. */
export class XsEngine {
  private readonly process: ChildProcess;
  private readonly waiting: Waiting[] = [];
  private readonly ended: Promise<void>;
  private printed = '';
  private complaints = '';
  private answers: Buffer = Buffer.alloc(0);

  /** Starts afresh, or from a snapshot; `onPrint` takes what the program prints, by lines. */
  constructor(snapshotPath?: string, onPrint: (line: string) => void = () => undefined) {
    const args = snapshotPath === undefined ? ['xs'] : ['xs', '-r', snapshotPath];
    this.process = spawn(xsWorkerPath(), args, {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
    });
    (this.process.stdout as Readable).setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.printed + text).split('\n');
      this.printed = lines.pop() as string;
      for (const line of lines) onPrint(line);
    });
    (this.process.stderr as Readable).setEncoding('utf8').on('data', (text: string) => {
      this.complaints += text;
    });
    // A worker that ends while it is written to is reported by its exit.
    (this.process.stdio[3] as Writable).on('error', () => undefined);
    (this.process.stdio[4] as Readable).on('data', (bytes: Buffer) => this.receive(bytes));
    // A machine in a long loop does not see that its reader is gone.
    const kill = () => this.process.kill();
    process.once('exit', kill);
    this.ended = new Promise((resolve) => {
      this.process.once('close', (code, signal) => {
        process.off('exit', kill);
        const reason = `XS ended: ${signal ?? `exit code ${code}`} ${this.complaints}`.trim();
        for (const one of this.waiting.splice(0)) one.reject(new Error(reason));
        resolve();
      });
    });
  }

  /** Runs a script; rejects with what it throws. Answers the ArrayBuffer that it ends in, as text. */
  evaluate(code: string): Promise<string> {
    return this.ask(`e${code}`);
  }

  /** Calls the program's own `handleCommand`, which costs no compiler. */
  command(text: string): Promise<string> {
    return this.ask(`?${text}`);
  }

  /** Writes the heap, collected, to a file. */
  async snapshot(path: string): Promise<void> {
    await this.ask(`w${path}`);
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    this.process.kill();
    await this.ended;
  }

  private ask(message: string): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        reject(new Error(`XS is gone ${this.complaints}`.trim()));
        return;
      }
      this.waiting.push({ resolve, reject });
      const bytes = Buffer.from(message);
      (this.process.stdio[3] as Writable).write(
        Buffer.concat([Buffer.from(`${bytes.length}:`), bytes, Buffer.from(',')]),
      );
    });
  }

  private receive(bytes: Buffer): void {
    this.answers = Buffer.concat([this.answers, bytes]);
    for (;;) {
      const colon = this.answers.indexOf(':');
      if (colon < 0) return;
      const size = Number(this.answers.toString('latin1', 0, colon));
      const end = colon + 1 + size;
      if (this.answers.length <= end) return;
      this.settle(this.answers.toString('utf8', colon + 1, end));
      this.answers = this.answers.subarray(end + 1);
    }
  }

  /** `!error`, or `.meters\x01answer`. */
  private settle(answer: string): void {
    const one = this.waiting.shift();
    if (answer.startsWith('!')) one?.reject(new Error(answer.slice(1)));
    else one?.resolve(answer.slice(answer.indexOf('\x01') + 1));
  }
}
