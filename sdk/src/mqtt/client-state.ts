// The states of a client's connection, and what moves it from one to the next: all in one table.

/** idle → opening → greeting → connected; waiting = between two attempts. */
export type ClientState = 'idle' | 'waiting' | 'opening' | 'greeting' | 'connected';
export type ClientEvent = 'start' | 'due' | 'opened' | 'refused' | 'accepted' | 'lost' | 'stop';

const TRANSITIONS: Record<ClientState, Partial<Record<ClientEvent, ClientState>>> = {
  idle: { start: 'opening' },
  waiting: { due: 'opening', stop: 'idle' },
  opening: { opened: 'greeting', lost: 'waiting', stop: 'idle' },
  greeting: { accepted: 'connected', refused: 'opening', lost: 'waiting', stop: 'idle' },
  connected: { lost: 'waiting', stop: 'idle' },
};

/** The state after `event`; throws where the table has none: a bug of the client. */
export function nextState(state: ClientState, event: ClientEvent): ClientState {
  const next = TRANSITIONS[state][event];
  if (next === undefined) throw new Error(`MQTT client: ${event} in state ${state}`);
  return next;
}
