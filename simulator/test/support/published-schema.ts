// The JSON Schema of summaries as it is published, for tests that have a summary.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

export const PUBLISHED = join(import.meta.dirname, '../../../docs/summary.schema.json');

const schema = z.fromJSONSchema(JSON.parse(readFileSync(PUBLISHED, 'utf8')));

/** What the schema does not allow in a summary, with its path; none = it is as published. */
export function publishedMistakes(summary: unknown): string[] {
  // What a program reads: members without a value are not there.
  const result = schema.safeParse(JSON.parse(JSON.stringify(summary)));
  return result.success ? [] : result.error.issues.map((issue) => JSON.stringify(issue));
}
