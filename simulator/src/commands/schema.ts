// `flotilla schema`: the JSON Schema of scenario files, for editors, and that of summaries, for
// programs that read them.

import type { Command } from '@flotilla/command-line';
import { summaryJsonSchema } from '../report/summary-schema.ts';
import { scenarioJsonSchema } from '../scenario/json-schema.ts';

interface SchemaArguments {
  summary: boolean;
}

export const schemaCommand: Command<SchemaArguments> = {
  command: 'schema',
  describe: 'Print the JSON Schema of scenario files, for editors, or of summaries',
  builder: (command) =>
    command
      .option('summary', {
        type: 'boolean',
        default: false,
        describe: 'Of what --json and --summary-export write',
      })
      .example('$0 schema > scenarios/scenario.schema.json', 'what the first lines name')
      .example('$0 schema --summary > docs/summary.schema.json', 'for what reads a summary'),
  handler: ({ summary }) => {
    const schema = summary ? summaryJsonSchema() : scenarioJsonSchema();
    console.log(JSON.stringify(schema, undefined, 2));
  },
};
