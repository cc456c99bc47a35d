#!/usr/bin/env node
// The `flotilla` command. Plain JavaScript, because an older Node has to be able to read it.

import { launch } from '../../scripts/launch.mjs';

await launch('flotilla', import.meta.url);
