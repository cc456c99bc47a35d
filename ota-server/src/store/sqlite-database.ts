// Node's own SQLite in the shape that kysely's dialect expects: nothing that is compiled, or fails
// to be, where the server is installed.

import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite';
import type { SqliteDatabase, SqliteStatement } from 'kysely';

/** SQLite's SQLITE_BUSY (https://www.sqlite.org/rescode.html#busy). */
const SQLITE_BUSY = 5;

/** `node:sqlite`, without the warning of Node 22 that it was an experiment then. */
function nodeSqlite(): typeof import('node:sqlite') {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return process.getBuiltinModule('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** Opens or makes the file; waits up to `lockMsMax` where another process holds its lock. */
export function openDatabase(file: string, lockMsMax: number): NodeSqliteDatabase {
  const { DatabaseSync: Database } = nodeSqlite();
  return new NodeSqliteDatabase(new Database(file, { timeout: lockMsMax }));
}

export class NodeSqliteDatabase implements SqliteDatabase {
  private readonly database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.database = database;
  }

  /** A setting that is no query of the program's: `journal_mode = wal`. */
  pragma(text: string): void {
    this.database.exec(`pragma ${text}`);
  }

  prepare(text: string): SqliteStatement {
    const statement = this.database.prepare(text);
    const values = (parameters: readonly unknown[]) => parameters as readonly SQLInputValue[];
    return {
      reader: statement.columns().length > 0,
      all: (parameters): Record<string, SQLOutputValue>[] => statement.all(...values(parameters)),
      run: (parameters) => statement.run(...values(parameters)),
      iterate: (parameters) => statement.iterate(...values(parameters)),
    };
  }

  close(): void {
    this.database.close();
  }
}

/** Whether another process holds the lock. */
export function isBusy(error: unknown): boolean {
  return (error as { errcode?: number }).errcode === SQLITE_BUSY;
}
