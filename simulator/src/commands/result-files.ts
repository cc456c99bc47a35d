// The files that a run writes its result to: tried before the run, and each written whatever
// happens to the others.

import { CommandError, checkOutput, writeOutput } from '@flotilla/command-line';
import { renderJunit } from '../report/junit.ts';
import { redact } from '../report/redact.ts';
import type { Summary } from '../report/summary.ts';

/** As they were given. */
export interface ResultPaths {
  readonly summaryExport?: string | undefined;
  readonly junit?: string | undefined;
}

interface ResultFile {
  readonly path: string;
  readonly render: (summary: Summary) => string;
}

export class ResultFiles {
  private files: readonly ResultFile[];

  constructor({ junit, summaryExport }: ResultPaths) {
    this.files = [
      ...(summaryExport === undefined ? [] : [{ path: summaryExport, render: renderJson }]),
      ...(junit === undefined ? [] : [{ path: junit, render: renderJunit }]),
    ];
  }

  /** Throws a CommandError that names those that cannot be written; the others still can. */
  check(): void {
    const mistakes = this.each(({ path }) => checkOutput(path));
    if (mistakes.size === 0) return;
    this.files = this.files.filter((file) => !mistakes.has(file));
    throw new CommandError([...mistakes.values()].join('\n'));
  }

  /** Returns what went wrong, a line for each file. */
  write(summary: Summary, secrets: readonly string[]): string[] {
    const mistakes = this.each(({ path, render }) => {
      writeOutput(path, redact(render(summary), secrets));
    });
    return [...mistakes.values()];
  }

  private each(act: (file: ResultFile) => void): Map<ResultFile, string> {
    const mistakes = new Map<ResultFile, string>();
    for (const file of this.files) {
      try {
        act(file);
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        mistakes.set(file, error.message);
      }
    }
    return mistakes;
  }
}

/** The one document that `--json` prints too. */
export function renderJson(summary: Summary): string {
  return `${JSON.stringify(summary, undefined, 2)}\n`;
}
