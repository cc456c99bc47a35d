// The process of the observer: messages in, messages out.

import type { FromObserver, ToObserver } from './messages.ts';
import { Observer } from './observer.ts';

const REPORT_INTERVAL_MS = 250;

function send(message: FromObserver): void {
  process.send?.(message);
}

let observer: Observer | undefined;

process.on('message', (message: ToObserver) => {
  if (message.kind === 'start') {
    observer = new Observer(message.task, send);
    setInterval(() => send(observer!.report()), REPORT_INTERVAL_MS).unref();
  } else if (observer !== undefined) {
    send(observer.report());
    send(observer.finish());
  }
});
// Ctrl-C reaches the whole process group; the run decides when the observer may go.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit());
