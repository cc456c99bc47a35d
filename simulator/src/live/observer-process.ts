// The process of the observer: messages in, messages out.

import type { FromObserver, ToObserver } from './messages.ts';
import { Observer } from './observer.ts';
import { tellParent } from './parent.ts';

const REPORT_INTERVAL_MS = 250;
/** A report with trends is large; in between the one before stands. */
const TRENDS_EVERY = 8;

function send(message: FromObserver): void {
  tellParent(message);
}

let observer: Observer | undefined;

process.on('message', (message: ToObserver) => {
  if (message.kind === 'start') {
    observer = new Observer(message.task, send);
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
    observer.settle();
    send(observer.report(true));
    send(observer.finish());
  }
});
// Ctrl-C reaches the whole process group; the run decides when the observer may go.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit());
