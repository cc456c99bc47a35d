// What the fakes of Moddable's modules share with the checks: written from their documentation.

/** A socket as the fake has it; the checks play its peer. */
export interface FakeSocket {
  readonly options: Record<string, unknown>;
  readonly written: number[][];
  room: number;
  closed: boolean;
  /** Bytes come from the peer. */
  receive(bytes: readonly number[]): void;
  open(room: number): void;
  /** An orderly close: signalled when all was read. */
  end(): void;
}

export const world = {
  sockets: [] as FakeSocket[],
  ticks: 0,
  timers: [] as { callback: () => void; delayMs: number; cleared: boolean }[],
  values: new Map<string, Uint8Array>(),
  flashes: new Map<string, Uint8Array>(),
  calls: [] as string[],
  resetReason: 1,
  trial: false,
  timeRequests: [] as { host: string; answer: (message: number, value?: number) => void }[],
};

export function resetWorld(): void {
  world.sockets = [];
  world.ticks = 0;
  world.timers = [];
  world.values = new Map();
  world.flashes = new Map();
  world.calls = [];
  world.resetReason = 1;
  world.trial = false;
  world.timeRequests = [];
}
