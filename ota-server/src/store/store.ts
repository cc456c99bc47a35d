// What outlives the process: one SQLite file (kysely over Node's own). The server reads it
// once, at its start, and from then on adds what has changed, batch by batch.

import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '@flotilla/sdk/codec/bytes';
import { Kysely, SqliteDialect, sql } from 'kysely';
import { OtaError } from '../ota-error.ts';
import {
  type DeltaRow,
  type DeviceRow,
  type EventRow,
  migrate,
  type ReleaseRow,
  type ReportRow,
  type RolloutRow,
  type Tables,
} from './schema.ts';
import { isBusy, type NodeSqliteDatabase, openDatabase } from './sqlite-database.ts';

/** In place of a directory: everything is gone when the server closes. */
export const IN_MEMORY = ':memory:';

/** Everything that is stored but the reports, which are for people. */
export interface StoredState {
  readonly settings: ReadonlyMap<string, Uint8Array>;
  readonly releases: readonly ReleaseRow[];
  readonly deltas: readonly DeltaRow[];
  /** By position. */
  readonly devices: readonly DeviceRow[];
  readonly rollouts: readonly RolloutRow[];
  /** Those later than the states of the rollouts, in order. */
  readonly events: readonly EventRow[];
}

/** Rows that are new or replace what has the same key. */
export interface Changes {
  readonly settings: Map<string, Uint8Array>;
  readonly releases: Map<string, ReleaseRow>;
  readonly removedReleases: Set<string>;
  readonly deltas: DeltaRow[];
  readonly devices: Map<number, DeviceRow>;
  readonly rollouts: Map<string, RolloutRow>;
  readonly events: EventRow[];
  readonly reports: ReportRow[];
}

export function noChanges(): Changes {
  return {
    settings: new Map(),
    releases: new Map(),
    removedReleases: new Set(),
    deltas: [],
    devices: new Map(),
    rollouts: new Map(),
    events: [],
    reports: [],
  };
}

/** How many of the newest reports are kept. */
export const REPORT_COUNT_MAX = 1_000_000;
/** Pruning looks at the table, so it is done once in so many reports. */
const PRUNE_INTERVAL_COUNT = 10_000;
/** Rows per statement: one parameter carries them as JSON, 10,000 devices make 3 MB. */
const CHUNK_COUNT = 10_000;
/** A server that was just killed may hold its lock for a moment. */
const LOCK_MS_MAX = 200;
/** Of the folder: the key of the download URLs is in it. */
const OWNER_ONLY = 0o700;
const OWNER_FILE = 0o600;

export class Store {
  private readonly db: Kysely<Tables>;
  private readonly reportCountMax: number;
  private reportsSincePrune = 0;

  private constructor(db: Kysely<Tables>, reportCountMax: number) {
    this.db = db;
    this.reportCountMax = reportCountMax;
  }

  /** Opens or makes the database in the directory; throws OtaError with the reason. */
  static async open(dataDir: string, reportCountMax = REPORT_COUNT_MAX): Promise<Store> {
    let database: NodeSqliteDatabase;
    try {
      if (dataDir !== IN_MEMORY) await mkdir(dataDir, { recursive: true, mode: OWNER_ONLY });
      const file = dataDir === IN_MEMORY ? IN_MEMORY : join(dataDir, 'flotilla-ota.sqlite');
      // Before SQLite makes it as everybody's to read; its other files take over the mode.
      if (file !== IN_MEMORY) await (await open(file, 'a', OWNER_FILE)).close();
      database = openDatabase(file, LOCK_MS_MAX);
      // Two servers over one file would each overwrite what the other knows.
      database.pragma('locking_mode = exclusive');
      database.pragma('journal_mode = wal');
      // A power cut may undo the last commits but not tear one; a device then reports again.
      database.pragma('synchronous = normal');
    } catch (error) {
      throw explain(dataDir, error);
    }
    const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database }) });
    try {
      await migrate(db);
    } catch (error) {
      await db.destroy();
      throw explain(dataDir, error);
    }
    return new Store(db, reportCountMax);
  }

  async load(): Promise<StoredState> {
    const { db } = this;
    const settings = await db.selectFrom('settings').selectAll().execute();
    return {
      settings: new Map(settings.map(({ name, value }) => [name, value])),
      releases: await db.selectFrom('releases').selectAll().orderBy('created_ms').execute(),
      deltas: await db.selectFrom('deltas').selectAll().execute(),
      devices: await db.selectFrom('devices').selectAll().orderBy('position').execute(),
      rollouts: await db.selectFrom('rollouts').selectAll().orderBy('created_ms').execute(),
      events: await db
        .selectFrom('rollout_events')
        .selectAll()
        .orderBy('rollout')
        .orderBy('sequence')
        .execute(),
    };
  }

  /**
   * Writes all or nothing. One call at a time: the driver has one connection and no lock, so a
   * second would write into the first one's transaction.
   */
  async commit(changes: Changes): Promise<void> {
    await this.db.transaction().execute(async (transaction) => {
      for (const [name, value] of changes.settings) {
        await transaction.replaceInto('settings').values({ name, value }).execute();
      }
      for (const row of changes.releases.values()) {
        await transaction.replaceInto('releases').values(row).execute();
      }
      for (const id of changes.removedReleases) {
        await transaction.deleteFrom('releases').where('id', '=', id).execute();
      }
      for (const row of changes.deltas) {
        await transaction.replaceInto('deltas').values(row).execute();
      }
      await writeDevices(transaction, [...changes.devices.values()]);
      await writeEvents(transaction, changes.events);
      for (const row of changes.rollouts.values()) {
        await transaction.replaceInto('rollouts').values(row).execute();
        await transaction
          .deleteFrom('rollout_events')
          .where('rollout', '=', row.id)
          .where('sequence', '<=', row.last_event)
          .execute();
      }
      await writeReports(transaction, changes.reports);
      await this.prune(transaction, changes.reports.length);
    });
  }

  /** The newest reports first, of one device or of all. */
  async reports(countMax: number, device?: string): Promise<ReportRow[]> {
    let query = this.db
      .selectFrom('reports')
      .select(['at_ms', 'device', 'report', 'counted'])
      .orderBy(sql`sequence`, 'desc')
      .limit(countMax);
    if (device !== undefined) query = query.where('device', '=', device);
    return await query.execute();
  }

  async close(): Promise<void> {
    await this.db.destroy();
  }

  private async prune(transaction: Kysely<Tables>, added: number): Promise<void> {
    this.reportsSincePrune += added;
    if (this.reportsSincePrune < Math.min(PRUNE_INTERVAL_COUNT, this.reportCountMax)) return;
    this.reportsSincePrune = 0;
    await sql`delete from reports where sequence <=
      (select max(sequence) from reports) - ${this.reportCountMax}`.execute(transaction);
  }
}

async function writeDevices(db: Kysely<Tables>, rows: readonly DeviceRow[]): Promise<void> {
  for (const chunk of chunks(rows)) {
    // As one parameter: binding 10,000 rows value by value costs three times as much.
    const json = JSON.stringify(
      chunk.map((row) => [row.position, row.id, toHex(row.token_hash), row.properties, row.seen]),
    );
    await sql`replace into devices (position, id, token_hash, properties, seen)
      select value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4
      from json_each(${json})`.execute(db);
  }
}

async function writeEvents(db: Kysely<Tables>, rows: readonly EventRow[]): Promise<void> {
  for (const chunk of chunks(rows)) {
    const json = JSON.stringify(
      chunk.map((row) => [row.rollout, row.sequence, row.at_ms, row.event]),
    );
    await sql`insert into rollout_events (rollout, sequence, at_ms, event)
      select value ->> 0, value ->> 1, value ->> 2, value ->> 3
      from json_each(${json})`.execute(db);
  }
}

async function writeReports(db: Kysely<Tables>, rows: readonly ReportRow[]): Promise<void> {
  for (const chunk of chunks(rows)) {
    const json = JSON.stringify(
      chunk.map((row) => [row.at_ms, row.device, row.report, row.counted]),
    );
    await sql`insert into reports (at_ms, device, report, counted)
      select value ->> 0, value ->> 1, value ->> 2, value ->> 3
      from json_each(${json})`.execute(db);
  }
}

function* chunks<Row>(rows: readonly Row[]): Generator<readonly Row[]> {
  for (let start = 0; start < rows.length; start += CHUNK_COUNT) {
    yield rows.slice(start, start + CHUNK_COUNT);
  }
}

function explain(dataDir: string, error: unknown): OtaError {
  if (isBusy(error)) {
    return new OtaError(`${dataDir}: another flotilla-ota is using it; stop that one first`);
  }
  return new OtaError(`${dataDir}: ${(error as Error).message}`);
}
