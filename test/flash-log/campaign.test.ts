// A share of the power-cut campaign of the flash log; all of it: node test/flash-log/campaign.ts

import { expect, test } from 'vitest';
import { QUICK, runCampaign } from './campaign.ts';

test('no promise of the log is broken by cuts, torn or weak bits, or a second cut', () => {
  const seed = Number(process.env.SEED ?? 1);
  console.log(`SEED=${seed} CAMPAIGN=flash-log --quick`);
  const { cases, findings, secondCuts } = runCampaign({ seed, ...QUICK });
  const command = `reproduce: node test/flash-log/campaign.ts --seed ${seed} --quick`;
  expect(findings.slice(0, 5), command).toEqual([]);
  expect(cases).toBeGreaterThan(2000);
  expect(secondCuts).toBeGreaterThan(800);
});
