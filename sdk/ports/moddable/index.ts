// The platform over Moddable, for ESP32.

export { ModdablePlatform, type ModdablePlatformOptions } from './platform.ts';
