// The SDK's core profile for Espruino as one script: bundled by esbuild, then lowered.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { internalMembers, type SourceText } from './internal-members.ts';
import { lowerForEspruino } from './lower.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PORT = join(ROOT, 'sdk/ports/espruino');

/** Classes that programs use: their public members keep their names. */
const PUBLIC_CLASSES = ['Device', 'DeviceCounters', 'DeviceProfile', 'EspruinoPlatform', 'Packet'];

/** The module that remembers which version a broker speaks is not needed for one version. */
const version4: Plugin = {
  name: 'version-4',
  setup(context) {
    context.onResolve({ filter: /\/version-choice\.ts$/ }, () => ({
      path: join(PORT, 'version-4.ts'),
    }));
  },
};

export interface EspruinoBundle {
  /** The script that runs on Espruino. */
  readonly code: string;
  /** The sources in it, relative to the repository. */
  readonly sources: readonly string[];
}

/** Bundles the port's entry file. Rejects with the tools' own errors. */
export async function bundleForEspruino(): Promise<EspruinoBundle> {
  const { metafile, outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: [join(PORT, 'bundle.ts')],
    bundle: true,
    write: false,
    metafile: true,
    // A module of its own, not a function: a scope more costs three variables per function.
    format: 'cjs',
    target: 'es2020',
    logOverride: { 'commonjs-variable-in-esm': 'silent' },
    // Fields become assignments in the constructor.
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
    plugins: [version4],
  });
  const sources = Object.keys(metafile.inputs);
  const texts = sources.map(
    (path): SourceText => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }),
  );
  const script = outputFiles[0]?.text ?? '';
  const members = internalMembers(texts, PUBLIC_CLASSES);
  return { code: await lowerForEspruino(script, members), sources };
}
