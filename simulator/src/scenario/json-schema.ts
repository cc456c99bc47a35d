// The scenario's JSON Schema, for completion and checks in editors. A scenario names it in its
// first line: `# yaml-language-server: $schema=scenario.schema.json`.

import { z } from 'zod';
import { fileSchema } from './file-schema.ts';

/** Draft 7, which the YAML language server knows best; of the file's form, before defaults. */
export function scenarioJsonSchema(): Readonly<Record<string, unknown>> {
  return z.toJSONSchema(fileSchema, {
    io: 'input',
    target: 'draft-7',
    override: ({ jsonSchema }) => allowText(jsonSchema),
  });
}

/** Numbers and booleans may also be text, as `readTexts` takes it, or `${NAME}`. */
function allowText(schema: z.core.JSONSchema.BaseSchema): void {
  const { enum: values, type } = schema;
  if (type === 'number' || type === 'integer' || type === 'boolean') {
    const form = type === 'boolean' ? 'true|false' : '-?[0-9.]+([eE][-+]?[0-9]+)?';
    Object.assign(schema, { type: [type, 'string'], pattern: `^(${form}|\\$\\{\\w+\\})$` });
    if (values === undefined) return;
  }
  if (values === undefined || values.every((value) => typeof value === 'string')) return;
  schema.enum = [...new Set([...values, ...values.map(String)])];
  delete schema.pattern;
}
