// A process of a benchmark: started from a module, asked one thing after another, ended by its id.

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** After this a process that was asked to end is ended by force. */
const STOP_MS_MAX = 1000;

interface Waiting {
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

interface Answer {
  readonly answer?: unknown;
  readonly error?: string;
}

export class Child {
  /** All that run, so that an interrupt can end them. */
  private static readonly running = new Set<Child>();
  private readonly name: string;
  private readonly process: ChildProcess;
  private readonly ended: Promise<void>;
  private readonly waiting: Waiting[] = [];
  private stopped = false;

  /** Starts `module` with these flags of Node. */
  constructor(name: string, module: URL, flags: readonly string[] = []) {
    this.name = name;
    this.process = fork(fileURLToPath(module), [], { execArgv: [...flags] });
    Child.running.add(this);
    this.process.on('message', (message) => this.settle(message as Answer));
    this.process.on('error', (error) => this.fail(`${name}: ${error.message}`));
    this.ended = new Promise((resolve) => {
      this.process.once('exit', (code, signal) => {
        Child.running.delete(this);
        this.fail(`${name} ended: ${signal === null ? `exit code ${code}` : `signal ${signal}`}`);
        resolve();
      });
    });
  }

  static async stopAll(): Promise<void> {
    await Promise.all([...Child.running].map((child) => child.stop()));
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** Resolves with the answer; rejects with what the process threw, or when it is gone. */
  ask<T>(request: object): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (!this.process.connected) {
        reject(new Error(`${this.name} is gone`));
        return;
      }
      this.waiting.push({ resolve: (answer) => resolve(answer as T), reject });
      this.process.send(request, (error) => {
        if (error !== null) this.fail(`${this.name}: ${error.message}`);
      });
    });
  }

  /** Ends the process: it exits by itself when its parent hangs up. */
  async stop(): Promise<void> {
    if (!this.stopped) {
      this.stopped = true;
      if (this.process.connected) this.process.disconnect();
    }
    const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_MS_MAX);
    await this.ended;
    clearTimeout(timer);
  }

  private settle({ answer, error }: Answer): void {
    const waiting = this.waiting.shift();
    if (error === undefined) waiting?.resolve(answer);
    else if (waiting !== undefined) waiting.reject(new Error(`${this.name}: ${error}`));
    else this.fail(`${this.name}: ${error}`);
  }

  private fail(message: string): void {
    for (const { reject } of this.waiting.splice(0)) reject(new Error(message));
  }
}

/** The other end: answers each request of the parent, and goes when the parent does. */
export function answerParent<Request>(handle: (request: Request) => unknown): void {
  process.on('message', (request) => {
    void answerOne(handle, request as Request);
  });
  // Ctrl-C reaches the whole process group; the parent decides when its processes may go.
  process.on('SIGINT', () => undefined);
  process.on('disconnect', () => process.exit());
}

async function answerOne<Request>(
  handle: (request: Request) => unknown,
  request: Request,
): Promise<void> {
  let answer: Answer;
  try {
    answer = { answer: await handle(request) };
  } catch (error) {
    answer = { error: (error as Error).stack ?? String(error) };
  }
  // A parent that is gone wants no answer.
  process.send?.(answer, undefined, undefined, () => undefined);
}
