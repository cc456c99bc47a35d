// `node scripts/run.mjs [--dev | --engine] FILE [ARGUMENT…]`: what the npm scripts are made of.
// Installs what is missing, then runs FILE of this checkout, from its root, under a Node that runs
// TypeScript. --dev: with what tests and checks need; --engine: and the XS engine.
// No `pre` scripts: those are left out where npm is told to ignore scripts of packages.
// Plain JavaScript, because the Node that runs it may be 18.

import { delimiter, dirname, join } from 'node:path';
import { findNode } from './find-node.mjs';
import { installDependencies, installEngine, root } from './install.mjs';
import { explain, runUnder } from './launch.mjs';

const [first, ...others] = process.argv.slice(2);
const engine = first === '--engine' || first === '--retry-engine';
const dev = engine || first === '--dev';
const [file, ...args] = dev ? others : [first, ...others];

try {
  const node = await findNode();
  await installDependencies(node, dev);
  if (engine) await installEngine(first === '--retry-engine');
  // What is started by the name of `node` shall be this one.
  process.env.PATH = [dirname(node), process.env.PATH].join(delimiter);
  runUnder(node, join(root, file), args, { cwd: root });
} catch (error) {
  explain('flotilla', error);
}
