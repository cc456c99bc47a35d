// The process of the observer: messages in, messages out.

import { Leftovers } from './leftovers.ts';
import type { FromObserver, ObserverTask, ToObserver } from './messages.ts';
import { Observer } from './observer.ts';
import { endWithParent, tellParent } from './parent.ts';
import { RunClaim } from './run-claim.ts';
import { removeRunRecord } from './run-record.ts';

const REPORT_INTERVAL_MS = 250;
/** A report with trends is large; in between the one before stands. */
const TRENDS_EVERY = 8;

/** The run: its records name it by this. */
const parentPid = process.ppid;

function send(message: FromObserver): void {
  tellParent(message);
}

let observer: Observer | undefined;
let task: ObserverTask | undefined;

process.on('message', (message: ToObserver) => {
  if (message.kind === 'start') {
    task = message.task;
    observer = new Observer(task, send);
    let count = 0;
    const report = () => {
      count += 1;
      send(observer!.report(count % TRENDS_EVERY === 0));
    };
    setInterval(report, REPORT_INTERVAL_MS).unref();
  } else if (observer === undefined) {
    return;
  } else if (message.kind === 'connections') {
    observer.connected(message.worker, message.connections, message.upToMs);
  } else if (message.kind === 'check') {
    observer.check();
  } else {
    task = undefined;
    observer.settle();
    send(observer.report(true));
    send(observer.finish());
  }
});

/** A run that was killed cannot clean up; what it has to leave goes with an embedded broker. */
endWithParent(async () => {
  if (task === undefined || task.scenario.broker === undefined) return;
  observer?.finish();
  const { run, scenario, target } = task;
  // Another run may have the id by now, and what is there would be its own.
  const claim = new RunClaim(target, scenario.topics, run, false);
  if ((await claim.acquired()) === 'in use') return;
  const leftovers = new Leftovers({ run, scenario, target });
  await leftovers.removeAll(true, { 4: 0, 5: 0 });
  if (leftovers.count === 0) removeRunRecord(run, parentPid);
  await claim.release();
});
