// What `npm run build:espruino` bundles: a module for Storage, for `require('flotilla')`.

import { PRIORITY_HIGH, PRIORITY_LOW, PRIORITY_NORMAL } from '../../src/buffer/outbox.ts';
import { Device } from '../../src/device.ts';
import { DeviceProfile } from '../../src/device-profile.ts';
import { EspruinoPlatform } from './platform.ts';

declare const module: { exports: unknown };

module.exports = {
  Device,
  DeviceProfile,
  EspruinoPlatform,
  PRIORITY_HIGH,
  PRIORITY_LOW,
  PRIORITY_NORMAL,
};
