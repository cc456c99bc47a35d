// Moddable's TLSSocket: a TCP of other options.

import TCP from './tcp.ts';

export default class TLSSocket extends TCP {}
