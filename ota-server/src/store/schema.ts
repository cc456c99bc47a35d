// The tables, and the changes that bring a database of an earlier version up to them.

import { type Kysely, sql } from 'kysely';

/** Bytes are BLOBs; times are ms since 1970. */
export interface Tables {
  /** What the server has to keep for itself: secrets, hashes of keys. */
  settings: { name: string; value: Uint8Array };
  releases: ReleaseRow;
  deltas: DeltaRow;
  devices: DeviceRow;
  rollouts: RolloutRow;
  rollout_events: EventRow;
  reports: ReportRow;
}

export interface ReleaseRow {
  id: string;
  envelope: Uint8Array;
  created_ms: number;
  /** 1 when the image is stored as well. */
  ready: number;
}

export interface DeltaRow {
  release: string;
  /** SHA-256 of the image that it applies to. */
  base: Uint8Array;
  name: string;
  size: number;
}

export interface DeviceRow {
  /** Order of registration, without a gap: rollouts know devices by it. */
  position: number;
  id: string;
  token_hash: Uint8Array;
  /** JSON: vendor, class, groups, attributes. */
  properties: string;
  /** JSON: what its last check said; null before the first. */
  seen: string | null;
}

export interface RolloutRow {
  id: string;
  created_ms: number;
  /** JSON: what it was created with. */
  definition: string;
  /** The engine's `save` after the event `last_event`. */
  state: Uint8Array;
  /** 0 before the first. */
  last_event: number;
}

/** What happened in a rollout since its state was saved: replayed after a restart. */
export interface EventRow {
  rollout: string;
  /** From 1 on, without a gap. */
  sequence: number;
  at_ms: number;
  /** JSON: the engine's event. */
  event: string;
}

export interface ReportRow {
  at_ms: number;
  device: string;
  /** JSON: the report as it came. */
  report: string;
  /** 0 where it changed nothing: repeated, late or foreign. */
  counted: number;
}

/** One per version; never changed once released, only added to. */
const MIGRATIONS: readonly (readonly string[])[] = [
  [
    'create table settings (name text primary key, value blob not null) without rowid',
    `create table releases (id text primary key, envelope blob not null,
       created_ms integer not null, ready integer not null) without rowid`,
    `create table deltas (release text not null, base blob not null, name text not null,
       size integer not null, primary key (release, base)) without rowid`,
    `create table devices (position integer primary key, id text not null,
       token_hash blob not null, properties text not null, seen text)`,
    `create table rollouts (id text primary key, created_ms integer not null,
       definition text not null, state blob not null, last_event integer not null) without rowid`,
    `create table rollout_events (rollout text not null, sequence integer not null,
       at_ms integer not null, event text not null, primary key (rollout, sequence)) without rowid`,
    `create table reports (sequence integer primary key autoincrement, at_ms integer not null,
       device text not null, report text not null, counted integer not null)`,
  ],
];

/** Brings the database to this version's tables; throws when a later version wrote it. */
export async function migrate(db: Kysely<Tables>): Promise<void> {
  const { rows } = await sql<{ user_version: number }>`pragma user_version`.execute(db);
  const version = rows[0]!.user_version;
  if (version > MIGRATIONS.length) {
    throw new Error(`the database is of a later version of flotilla-ota (schema ${version})`);
  }
  for (let next = version; next < MIGRATIONS.length; next += 1) {
    await db.transaction().execute(async (transaction) => {
      for (const statement of MIGRATIONS[next]!) await sql.raw(statement).execute(transaction);
      await sql.raw(`pragma user_version = ${next + 1}`).execute(transaction);
    });
  }
}
