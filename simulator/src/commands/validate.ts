// `flotilla validate`: is this scenario right?

import { type Command, JSON_OPTION } from '@flotilla/command-line';
import { loadScenario, ScenarioError } from '../scenario/load.ts';

interface ValidateArguments {
  scenario: string[];
  json: boolean;
}

export const validateCommand: Command<ValidateArguments> = {
  command: 'validate <scenario..>',
  describe: 'Check scenario files and tell every mistake',
  builder: (command) =>
    command
      .positional('scenario', { type: 'string', array: true, demandOption: true })
      .option('json', JSON_OPTION)
      .example('$0 validate scenarios/*.yaml', 'all of them'),
  handler: ({ scenario: files, json }) => {
    const valid: { file: string; name: string; devices: number }[] = [];
    const mistakes: string[] = [];
    for (const file of files) {
      try {
        const { fleets, name } = loadScenario(file).scenario;
        valid.push({ file, name, devices: fleets.reduce((sum, { count }) => sum + count, 0) });
      } catch (error) {
        if (!(error instanceof ScenarioError)) throw error;
        mistakes.push(...error.lines);
      }
    }
    if (mistakes.length > 0) throw new ScenarioError(mistakes);
    if (json) {
      console.log(JSON.stringify(valid, undefined, 2));
      return;
    }
    for (const { file, name, devices } of valid) {
      console.log(`${file}: ok (${name}, ${devices.toLocaleString('en')} devices)`);
    }
  },
};
