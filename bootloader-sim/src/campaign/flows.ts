// The flows of a campaign: an update from version 1 to version 2 under every behaviour of the new
// image, from either slot, with and without a new security version; and hostile images.

/** What the new image does on its trial boots. */
export const BEHAVIOURS = [
  /** Confirms itself at once. */
  'confirm',
  /** Crashes before it can confirm, every time. */
  'crash',
  /** Finds itself unfit and says so. */
  'reject',
  /** Hangs on its first boot (the watchdog resets), confirms on the second. */
  'hang-once',
  /** Confirms, and crashes now and then from then on. */
  'crash-later',
  /** Runs, and is switched off before it confirms, every time. */
  'never-confirm',
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

/** Images that must never run. */
export const HOSTILE = [
  'wrong-key',
  'payload-flipped',
  'downgraded',
  'truncated',
  'wrong-digest',
  'counter-unprotected',
  'encrypted',
  'garbage',
] as const;
export type Hostile = (typeof HOSTILE)[number];

export interface Flow {
  /** Names it in replay commands. */
  readonly id: string;
  readonly behaviour: Behaviour;
  readonly hostile: Hostile | undefined;
  /** The slot of version 1. */
  readonly startSlot: 0 | 1;
  /** Version 2 has security version 2 instead of 1. */
  readonly secure: boolean;
}

export const FLOWS: readonly Flow[] = [
  ...BEHAVIOURS.flatMap((behaviour) =>
    ([0, 1] as const).flatMap((startSlot) =>
      [false, true].map((secure) => ({
        id: `${behaviour}-${startSlot}-${secure ? 'secure' : 'same'}`,
        behaviour,
        hostile: undefined,
        startSlot,
        secure,
      })),
    ),
  ),
  ...HOSTILE.map((hostile, index) => ({
    id: `hostile-${hostile}`,
    behaviour: 'confirm' as const,
    hostile,
    startSlot: (index % 2) as 0 | 1,
    secure: false,
  })),
];
