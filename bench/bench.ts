// `npm run bench -- NAME [options]`: benchmarks with limits. Exits 0 when all figures are met,
// 1 when one is not or a benchmark fails, 2 for wrong arguments, 130 after Ctrl-C.

import { Child } from './child.ts';
import { LIVE_USAGE, runLive, UsageError } from './live/run.ts';
import { OTA_USAGE, runOta } from './ota/run.ts';

const BENCHMARKS: Readonly<Record<string, (argv: string[]) => Promise<boolean>>> = {
  live: runLive,
  ota: runOta,
};

const USAGE = `usage: npm run bench -- NAME [options]\n\n${LIVE_USAGE}\n\n${OTA_USAGE}`;

async function main([name, ...argv]: string[]): Promise<number> {
  const run = BENCHMARKS[name ?? ''];
  if (name === '--help' || argv.includes('--help')) {
    console.log(USAGE);
    return 0;
  }
  try {
    if (run === undefined) throw new UsageError(name === undefined ? 'which?' : `no ${name}`);
    return (await run(argv)) ? 0 : 1;
  } catch (error) {
    await Child.stopAll();
    const wrong = error instanceof UsageError;
    console.error(wrong ? `${error.message}\n\n${USAGE}` : `bench: ${(error as Error).message}`);
    return wrong ? 2 : 1;
  }
}

/** Children are ended by their id; brokers end with this process. */
function interrupt(): void {
  console.error('interrupted');
  void Child.stopAll().then(() => process.exit(130));
}

process.on('SIGINT', interrupt);
process.on('SIGTERM', interrupt);
process.exitCode = await main(process.argv.slice(2));
