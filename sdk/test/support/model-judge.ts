// The promises that a sequence of the model test is held to, after its faults have stopped.

import { unstamp } from './model-owner.ts';
import type { ModelRun } from './model-run.ts';

/** Notes everything that is wrong with `run`. */
export function judge(run: ModelRun): void {
  const { audit, broker, failures, owner } = run;
  failures.push(...audit.violations, ...owner.failures);
  failures.push(...broker.violations.map((words) => `broker: ${words}`));
  judgeEnd(run);
  judgeTaken(run);
  judgeReceived(run);
  judgeOrder(run);
}

/** Nothing waits, nothing leaks. */
function judgeEnd(run: ModelRun): void {
  const { broker, failures, owner } = run;
  if (owner.client.state !== 'connected') failures.push(`ends ${owner.client.state}`);
  for (const one of owner.messages) {
    if (one.state === 'waiting' || one.state === 'inflight') {
      failures.push(`message ${one.number} is ${one.state} for ever`);
    }
  }
  if (owner.session.inflightCount > 0) {
    failures.push(`${owner.session.inflightCount} exchanges never end`);
  }
  if ((broker.sessions.get(owner.id)?.subscriptions.size ?? 0) === 0) {
    failures.push('is not subscribed');
  }
  const pending = broker.sessions.get(owner.id)?.pendingCount ?? 0;
  if (pending > 0) failures.push(`${pending} messages to the device never end`);
  if (run.audit.owedCount > 0) failures.push('an acknowledgement was never sent');
  if (run.viewCountMax > 2) failures.push(`${run.viewCountMax} views held across turns`);
}

/** After the stop: the session's bytes are held, and nothing of packets. */
export function judgeMemory(run: ModelRun): void {
  const { outstandingCount } = run.platform.memory;
  if (outstandingCount !== 1) run.failures.push(`${outstandingCount} views at the end`);
}

/** QoS 1 at least once, QoS 2 exactly once, nothing broken. */
function judgeTaken(run: ModelRun): void {
  const { broker, failures, owner } = run;
  const times = new Map<number, number>();
  const exact = new Set<string>();
  for (const one of broker.taken) {
    if (one.clientId === '') continue;
    const number = unstamp(one.payload);
    const message = owner.messages[number];
    if (message === undefined || one.topic !== `devices/d1/${message.topic}`) {
      failures.push(`broker took nonsense on ${one.topic}`);
      continue;
    }
    times.set(number, (times.get(number) ?? 0) + 1);
    if (one.qos > message.qos) failures.push(`message ${number} sent at QoS ${one.qos}`);
    if (one.qos === 0 && message.qos === 0 && times.get(number) === 2) {
      failures.push(`message ${number} of QoS 0 sent twice`);
    }
    // A device that was reset knows nothing of what it sent; on 3.1.1 the session may remain.
    const key = `${number} ${one.sessionNumber} ${run.lifeAt(one.atMs)}`;
    if (one.qos === 2 && !message.lowered) {
      if (exact.has(key)) failures.push(`message ${number} of QoS 2 taken twice in one session`);
      exact.add(key);
    }
  }
  run.counts.taken += times.size;
  for (const count of times.values()) if (count > 1) run.counts.takenTwice += 1;
  const forgotten = new Set(broker.forgotten.map((one) => unstamp(one.payload)));
  for (const message of owner.messages) {
    const { number, qos, state, unsafe } = message;
    if (qos === 0 || unsafe || state === 'dropped' || forgotten.has(number)) continue;
    if (!times.has(number)) failures.push(`message ${number} of QoS ${qos} was lost`);
  }
}

/** The same of the other direction, as long as the broker kept the session. */
function judgeReceived(run: ModelRun): void {
  const { broker, failures, owner, sent } = run;
  const times = new Map<number, number>();
  const lives = new Map<string, number>();
  for (const one of owner.received) {
    const number = one.number;
    times.set(number, (times.get(number) ?? 0) + 1);
    const key = `${number} ${one.life}`;
    lives.set(key, (lives.get(key) ?? 0) + 1);
    if (sent[number] === undefined) failures.push(`message ${number} was never sent`);
    if (sent[number]?.qos !== 1 && (lives.get(key) ?? 0) > 1) {
      failures.push(`message ${number} of QoS ${sent[number]?.qos} received twice`);
    }
  }
  const last = broker.sessions.get(owner.id);
  for (const { number, oversize, qos, sessionNumber } of sent) {
    if (qos === 0 || oversize || sessionNumber !== last?.number) continue;
    // A session that began with a CONNACK that was lost: the client cannot know it from the one
    // before, and takes a second copy (DUP) with a packet id of that one for its message.
    if (qos === 2 && !run.toldSessions.has(sessionNumber)) continue;
    if (!times.has(number)) failures.push(`message ${number} of QoS ${qos} did not come`);
  }
  run.counts.received += times.size;
}

/** The first copies of messages of one topic and QoS are in order (MQTT 5 §4.6). */
function judgeOrder(run: ModelRun): void {
  const { broker, failures, owner } = run;
  const { acksInOrder, passOnAt } = run.plan.setup;
  const asksInOrder = acksInOrder && !run.plan.steps.some(({ kind }) => kind === 'lose');
  const highest = new Map<string, number>();
  const seen = new Set<number>();
  for (const one of broker.taken) {
    const number = unstamp(one.payload);
    const message = owner.messages[number];
    if (message === undefined || seen.has(number)) continue;
    seen.add(number);
    // Whoever is refused comes again later. A broker that passes on at PUBREL, and asks for it in
    // another order or loses a PUBREC, chose that order itself.
    if (run.refused.has(number)) continue;
    if (message.qos === 2 && passOnAt === 'pubrel' && !asksInOrder) continue;
    const key = `${message.topic} ${message.qos}`;
    if ((highest.get(key) ?? -1) > number) failures.push(`message ${number} was overtaken`);
    highest.set(key, Math.max(highest.get(key) ?? -1, number));
  }
  const came = new Map<number, number>();
  const known = new Set<number>();
  for (const { number } of owner.received) {
    const qos = run.sent[number]?.qos ?? 0;
    if (known.has(number)) continue;
    known.add(number);
    if ((came.get(qos) ?? -1) > number) failures.push(`received message ${number} late`);
    came.set(qos, Math.max(came.get(qos) ?? -1, number));
  }
}
