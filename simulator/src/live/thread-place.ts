// Where another thread of this process is in its code, also when that never comes to an end: asked
// through Node's inspector, which interrupts it between two instructions and lets it go on.

import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isUserFile } from '../fleet/application-errors.ts';

/** For an answer of a thread that is in JavaScript; one in native code gives none. */
const ANSWER_MS_MAX = 10_000;
const DISABLE = 3;

interface CallFrame {
  readonly location: {
    readonly scriptId: string;
    readonly lineNumber: number;
    readonly columnNumber: number;
  };
}

/** What the thread's inspector says. */
interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly params?: {
    readonly scriptId: string;
    readonly url: string;
    readonly callFrames: readonly CallFrame[];
  };
}

/**
 * The place of a thread, `file:line:column` relative to the working directory: of the innermost
 * call in a file of the user's. Undefined when it is in none, or it cannot be told.
 */
export async function placeOf(threadId: number): Promise<string | undefined> {
  // Not every build of Node has one.
  const inspector = await import('node:inspector').catch(() => undefined);
  if (inspector === undefined) return undefined;
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const session = new inspector.Session();
  const urls = new Map<string, string>();
  let place: string | undefined;
  const send = (sessionId: string, id: number, method: string) => {
    const message = JSON.stringify({ id, method });
    session.post('NodeWorker.sendMessageToWorker', { sessionId, message });
  };
  session.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
    // Its workerId counts the workers; the id of the thread is in its title.
    if (!workerInfo.title.startsWith(`[worker ${threadId}]`)) return;
    send(sessionId, 1, 'Debugger.enable');
    send(sessionId, 2, 'Debugger.pause');
  });
  session.on('NodeWorker.receivedMessageFromWorker', ({ params: { message, sessionId } }) => {
    const { id, method, params } = JSON.parse(message) as Reply;
    if (method === 'Debugger.scriptParsed') urls.set(params!.scriptId, params!.url);
    if (method === 'Debugger.paused') {
      place = params!.callFrames.map((frame) => placeIn(frame, urls)).find(isDefined);
      // A thread that is stopped could not be ended.
      send(sessionId, DISABLE, 'Debugger.disable');
    }
    if (id === DISABLE) resolve(place);
  });
  session.connect();
  session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  const timer = setTimeout(() => resolve(undefined), ANSWER_MS_MAX);
  return promise.finally(() => {
    clearTimeout(timer);
    session.disconnect();
  });
}

function placeIn({ location }: CallFrame, urls: ReadonlyMap<string, string>): string | undefined {
  const url = urls.get(location.scriptId) ?? '';
  if (!url.startsWith('file:') || !isUserFile(fileURLToPath(url))) return undefined;
  const file = relative(process.cwd(), fileURLToPath(url));
  return `${file}:${location.lineNumber + 1}:${location.columnNumber + 1}`;
}

function isDefined(place: string | undefined): boolean {
  return place !== undefined;
}
