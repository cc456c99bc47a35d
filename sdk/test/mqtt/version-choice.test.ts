// Which version is spoken to which server, over attempts, days and restarts.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { VersionChooser } from '../../src/mqtt/fixed-version.ts';
import type { ProtocolVersion } from '../../src/mqtt/packet.ts';
import { refusesVersion, versionChooser } from '../../src/mqtt/version-choice.ts';
import { MemorySettings } from '../support/virtual-platform.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What a server does with a CONNECT of each version; '-' = the network is down. */
type Answer = 'accepts' | 'refuses' | 'closes' | '-';
type Server = Readonly<Record<ProtocolVersion, Answer>>;

const BOTH: Server = { 5: 'accepts', 4: 'accepts' };
const REFUSES_5: Server = { 5: 'refuses', 4: 'accepts' };
const CLOSES_5: Server = { 5: 'closes', 4: 'accepts' };
const ONLY_5: Server = { 5: 'accepts', 4: 'refuses' };
const CLOSES_BOTH: Server = { 5: 'closes', 4: 'closes' };
const DOWN: Server = { 5: '-', 4: '-' };

/** A client that only chooses versions. */
class Subject {
  readonly settings: MemorySettings;
  nowMs = 0;
  private choice: VersionChooser;
  private readonly fixed: ProtocolVersion | 0;

  constructor(fixed: ProtocolVersion | 0 = 0, settings = new MemorySettings()) {
    this.fixed = fixed;
    this.settings = settings;
    this.choice = this.start();
  }

  private start(): VersionChooser {
    return versionChooser(this.fixed, this, this.nowMs);
  }

  /** One attempt, with what follows it at once; the versions that were spoken. */
  attempt(server: Server): string {
    let atOnce = false;
    let spoken = '';
    for (;;) {
      const version = this.choice.next(this.nowMs, atOnce);
      spoken += version;
      const answer = server[version];
      if (answer === 'accepts') {
        this.choice.accepted(version);
        return `${spoken}+`;
      }
      if (answer === '-') return spoken;
      atOnce = answer === 'refuses' ? this.choice.refused(version) : this.choice.closed(version);
      if (!atOnce) return spoken;
    }
  }

  restart(): void {
    this.choice = this.start();
  }

  get remembers(): boolean {
    return this.settings.get('mqtt.version')?.[0] === 4;
  }
}

interface Step {
  readonly server: Server;
  /** Time before it. */
  readonly afterMs?: number;
  readonly restart?: boolean;
  /** Versions in turn; '+' = accepted. */
  readonly spoken: string;
  readonly remembers: boolean;
}

const TABLE: readonly (readonly [string, readonly Step[]])[] = [
  [
    'a server of both versions',
    [
      { server: BOTH, spoken: '5+', remembers: false },
      { server: BOTH, spoken: '5+', remembers: false },
    ],
  ],
  [
    'refuses 5: 3.1.1 at once, remembered when it succeeded, over a restart too',
    [
      { server: REFUSES_5, spoken: '54+', remembers: true },
      { server: REFUSES_5, spoken: '4+', remembers: true },
      { server: REFUSES_5, restart: true, spoken: '4+', remembers: true },
    ],
  ],
  [
    'refuses 5, and then 3.1.1 does not succeed: nothing is remembered yet',
    [
      { server: { 5: 'refuses', 4: '-' }, spoken: '54', remembers: false },
      { server: DOWN, spoken: '4', remembers: false },
      { server: REFUSES_5, spoken: '4+', remembers: true },
    ],
  ],
  [
    'refuses 5, then an outage that closes: 5 is tried anew',
    [
      { server: { 5: 'refuses', 4: 'closes' }, spoken: '54', remembers: false },
      { server: BOTH, spoken: '5+', remembers: false },
    ],
  ],
  [
    'closes 5: remembered when it happened twice',
    [
      { server: CLOSES_5, spoken: '54+', remembers: false },
      { server: CLOSES_5, spoken: '54+', remembers: true },
      { server: CLOSES_5, spoken: '4+', remembers: true },
    ],
  ],
  [
    'closes 5 once, and accepts it then: nothing is remembered',
    [
      { server: CLOSES_5, spoken: '54+', remembers: false },
      { server: BOTH, spoken: '5+', remembers: false },
      { server: CLOSES_5, spoken: '54+', remembers: false },
      { server: BOTH, spoken: '5+', remembers: false },
    ],
  ],
  [
    'an outage that closes both does not downgrade: the first attempt after it speaks 5',
    [
      { server: CLOSES_BOTH, spoken: '54', remembers: false },
      { server: CLOSES_BOTH, spoken: '54', remembers: false },
      { server: DOWN, spoken: '5', remembers: false },
      { server: BOTH, spoken: '5+', remembers: false },
    ],
  ],
  [
    'an outage between two closes starts the count anew',
    [
      { server: CLOSES_5, spoken: '54+', remembers: false },
      { server: CLOSES_BOTH, spoken: '54', remembers: false },
      { server: CLOSES_5, spoken: '54+', remembers: false },
      { server: CLOSES_5, spoken: '54+', remembers: true },
    ],
  ],
  [
    'closes 5, and the network goes down before 3.1.1 is answered',
    [
      { server: { 5: 'closes', 4: '-' }, spoken: '54', remembers: false },
      { server: BOTH, spoken: '5+', remembers: false },
    ],
  ],
  [
    '5 is probed every day, and an outage then changes nothing',
    [
      { server: REFUSES_5, spoken: '54+', remembers: true },
      { server: REFUSES_5, afterMs: 23 * HOUR_MS, spoken: '4+', remembers: true },
      { server: REFUSES_5, afterMs: HOUR_MS, spoken: '54+', remembers: true },
      { server: REFUSES_5, afterMs: 23 * HOUR_MS, spoken: '4+', remembers: true },
      { server: DOWN, afterMs: HOUR_MS, spoken: '5', remembers: true },
      { server: REFUSES_5, spoken: '4+', remembers: true },
      { server: CLOSES_BOTH, afterMs: DAY_MS, spoken: '54', remembers: true },
      { server: REFUSES_5, spoken: '4+', remembers: true },
      { server: BOTH, afterMs: DAY_MS, spoken: '5+', remembers: false },
      { server: BOTH, restart: true, spoken: '5+', remembers: false },
    ],
  ],
  [
    'a server that has left 3.1.1 behind is spoken to in 5 again, before the day is over',
    [
      { server: REFUSES_5, spoken: '54+', remembers: true },
      { server: ONLY_5, spoken: '4', remembers: false },
      { server: ONLY_5, spoken: '5+', remembers: false },
    ],
  ],
  [
    'a server that refuses both is asked for 5 first, each time',
    [
      { server: { 5: 'refuses', 4: 'refuses' }, spoken: '54', remembers: false },
      { server: { 5: 'refuses', 4: 'refuses' }, spoken: '54', remembers: false },
    ],
  ],
];

describe('version choice', () => {
  test.each(TABLE)('%s', (_, steps) => {
    const subject = new Subject();
    for (const [index, { afterMs, remembers, restart, server, spoken }] of steps.entries()) {
      subject.nowMs += afterMs ?? 1000;
      if (restart === true) subject.restart();
      expect(`${index}: ${subject.attempt(server)}`).toBe(`${index}: ${spoken}`);
      expect(`${index}: ${subject.remembers}`).toBe(`${index}: ${remembers}`);
    }
  });

  const anyServer = fc.constantFrom(BOTH, REFUSES_5, CLOSES_5, ONLY_5, CLOSES_BOTH, DOWN);

  test('a fixed version is never left, and nothing is stored', () => {
    const steps = fc.array(fc.tuple(anyServer, fc.nat(DAY_MS)), { maxLength: 12 });
    fc.assert(
      fc.property(fc.constantFrom<ProtocolVersion>(4, 5), steps, (fixed, list) => {
        const subject = new Subject(fixed);
        for (const [server, ms] of list) {
          subject.nowMs += ms;
          expect(subject.attempt(server).replace('+', '')).toBe(String(fixed));
        }
        expect(subject.settings.setCount).toBe(0);
      }),
    );
  });

  test('whatever happened, a server of both versions is met in 5 within a day', () => {
    const steps = fc.array(fc.tuple(anyServer, fc.nat(DAY_MS), fc.boolean()), { maxLength: 20 });
    fc.assert(
      fc.property(steps, (list) => {
        const subject = new Subject();
        for (const [server, ms, restarts] of list) {
          subject.nowMs += ms;
          if (restarts) subject.restart();
          subject.attempt(server);
        }
        subject.nowMs += DAY_MS;
        expect(subject.attempt(BOTH)).toBe('5+');
        expect(subject.remembers).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test('flash is written when the choice changes, and only then', () => {
    const subject = new Subject();
    for (let count = 0; count < 50; count += 1) subject.attempt(REFUSES_5);
    expect(subject.settings.setCount).toBe(1);
  });

  test('a stored value of another kind counts as nothing', () => {
    for (const value of [[], [5], [0xff], [44]]) {
      const settings = new MemorySettings();
      settings.set('mqtt.version', Uint8Array.from(value));
      expect(new Subject(0, settings).attempt(BOTH)).toBe('5+');
    }
  });
});

describe('what refuses a version', () => {
  /** Code, form of the CONNACK, version asked for, whether that refuses the version. */
  const CODES: readonly (readonly [number, ProtocolVersion, ProtocolVersion, boolean])[] = [
    [0x84, 5, 5, true],
    [0x84, 4, 5, true],
    [1, 4, 5, true],
    [1, 4, 4, true],
    [0x84, 4, 4, true],
    // It took our CONNECT for one of 3.1.1.
    [0, 4, 5, true],
    [0, 5, 5, false],
    [0, 4, 4, false],
    [1, 5, 5, false],
    [0x87, 5, 5, false],
    [5, 4, 5, false],
    [5, 4, 4, false],
  ];

  test.each(CODES)('code %i in the form of %i, asked for %i', (code, form, asked, refuses) => {
    expect(refusesVersion(code, form, asked)).toBe(refuses);
  });
});
