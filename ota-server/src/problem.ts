// Problem documents (RFC 9457): what every refusal looks like. `errors` names every field that is
// wrong, not only the first.

import type { FieldProblem } from './device-api/index.ts';

export const PROBLEM_TYPE = 'application/problem+json';

/** Thrown by whoever refuses a request; the edge turns it into the document. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  /** What stands behind `urn:flotilla:problem:`: stable, for programs. */
  readonly code: string;
  readonly errors: readonly FieldProblem[];

  /** `detail`: what is wrong with this request, in a sentence with the way out. */
  constructor(status: number, code: string, detail: string, errors: readonly FieldProblem[] = []) {
    super(detail);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly FieldProblem[];
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  411: 'Length required',
  413: 'Too large',
  415: 'Unsupported media type',
  416: 'Range not satisfiable',
  422: 'Refused',
  429: 'Too many requests',
  500: 'Server error',
  503: 'Not available',
  507: 'Out of space',
};

export function problemDocument({ code, errors, message, status }: Problem): ProblemDocument {
  return {
    type: `urn:flotilla:problem:${code}`,
    title: TITLES[status] ?? 'Error',
    status,
    detail: message,
    ...(errors.length === 0 ? {} : { errors }),
  };
}
