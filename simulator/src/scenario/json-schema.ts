// The scenario's JSON Schema, for completion and checks in editors. A scenario names it in its
// first line: `# yaml-language-server: $schema=scenario.schema.json`.

import { z } from 'zod';
import { fileSchema } from './file-schema.ts';

/** Draft 7, which the YAML language server knows best; of the file's form, before defaults. */
export function scenarioJsonSchema(): Readonly<Record<string, unknown>> {
  return z.toJSONSchema(fileSchema, { io: 'input', target: 'draft-7' });
}
