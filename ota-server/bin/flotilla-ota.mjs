#!/usr/bin/env node
// The `flotilla-ota` command. Plain JavaScript, because an older Node has to be able to read it.

import { launch } from '../../scripts/launch.mjs';

await launch('flotilla-ota', import.meta.url);
