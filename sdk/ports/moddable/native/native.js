// What native.c has, as a module of XS: host functions in Moddable's own syntax.

export function stage() @ "xs_flotilla_stage";
export function confirm() @ "xs_flotilla_confirm";
export function reject() @ "xs_flotilla_reject";
export function restart() @ "xs_flotilla_restart";
export function resetReason() @ "xs_flotilla_resetReason";
export function isTrial() @ "xs_flotilla_isTrial";
export function version() @ "xs_flotilla_version";
export function digest() @ "xs_flotilla_digest";
export function random() @ "xs_flotilla_random";
export function feedWatchdog() @ "xs_flotilla_feedWatchdog";
export function deepSleep() @ "xs_flotilla_deepSleep";
export function heapUsed() @ "xs_flotilla_heapUsed";
