// The process of a run's shadow service: messages in, messages out.

import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '@flotilla/sdk/node';
import type { FromShadow, ToShadow } from './messages.ts';
import { endWithParent, tellParent } from './parent.ts';
import { ShadowRunner } from './shadow-runner.ts';

const REPORT_INTERVAL_MS = 250;
/** A report with trends is large; in between the one before stands. */
const TRENDS_EVERY = 8;
/** A run that dies leaves us this long to clean up at the broker. */
const FAREWELL_MS_MAX = 2000;

function send(message: FromShadow): void {
  tellParent(message);
}

let runner: ShadowRunner | undefined;

function start(started: ShadowRunner): void {
  runner = started;
  started.start().then(
    () => send({ kind: 'ready' }),
    (error: Error) => send({ kind: 'unreachable', reason: reasonOf(error) }),
  );
  let count = 0;
  const report = () => {
    count += 1;
    send(started.report(count % TRENDS_EVERY === 0));
  };
  setInterval(report, REPORT_INTERVAL_MS).unref();
}

process.on('message', (message: ToShadow) => {
  if (message.kind === 'start') {
    start(new ShadowRunner(message.task));
  } else if (message.kind === 'begin') {
    runner?.begin(message.beginMs);
  } else {
    void runner?.stop().finally(() => {
      send(runner!.report(true));
      send({ kind: 'finished' });
    });
  }
});
endWithParent(async () => {
  await Promise.race([runner?.stop(), sleep(FAREWELL_MS_MAX)]);
});
