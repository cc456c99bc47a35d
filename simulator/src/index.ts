// @flotilla/simulator: the parts of the `flotilla` command, for programs.

export { LiveRun, type LiveRunOptions } from './live/live-run.ts';
export { RunError } from './live/preflight.ts';
export { buildSummary, exitCode, type Summary } from './report/summary.ts';
export { type LoadedScenario, loadScenario, ScenarioError } from './scenario/load.ts';
export type { Scenario } from './scenario/schema.ts';
