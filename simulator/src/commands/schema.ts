// `flotilla schema`: the JSON Schema of scenario files, for editors.

import type { Command } from '@flotilla/command-line';
import { scenarioJsonSchema } from '../scenario/json-schema.ts';

export const schemaCommand: Command = {
  command: 'schema',
  describe: 'Print the JSON Schema of scenario files, for editors',
  builder: (command) =>
    command.example('$0 schema > scenarios/scenario.schema.json', 'what the first lines name'),
  handler: () => console.log(JSON.stringify(scenarioJsonSchema(), undefined, 2)),
};
