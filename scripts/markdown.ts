// Links and headings of Markdown texts, as GitHub reads them: for packages, whose pages must not
// point at what they leave behind, and for the test of all pages.

export interface Link {
  /** As it is written: `../docs/sdk.md#ports`, `https://…`, `#layout`. */
  readonly target: string;
  /** Of the target, in the text. */
  readonly offset: number;
}

const FENCE = /^(```|~~~)/;
/** Between as many backticks as it began with. */
const CODE = /(`+)(?!`).*?(?<!`)\1(?!`)/g;
/** `[text](target)`, `![text](target "title")`, and `[name]: target` at the start of a line. */
const LINK = /(?:\]\(|^ {0,3}\[[^\]]+\]: +)<?([^\s()<>]+)/g;
const HEADING = /^#{1,6} +(.+?)(?: +#+)? *$/;

/** The lines with what is code replaced by spaces, so that offsets stay. */
function proseLines(text: string): string[] {
  let fence = '';
  return text.split('\n').map((line) => {
    const [mark = ''] = FENCE.exec(line.trimStart()) ?? [];
    const isCode = fence !== '' || mark !== '';
    if (fence === '') fence = mark;
    else if (mark === fence) fence = '';
    return isCode ? ' '.repeat(line.length) : line;
  });
}

/** All links of a page, those inside of code not. */
export function linksOf(text: string): Link[] {
  let start = 0;
  return proseLines(text).flatMap((line) => {
    const prose = line.replace(CODE, (code) => ' '.repeat(code.length));
    const links = [...prose.matchAll(LINK)].map(({ 0: whole, 1: target = '', index }) => ({
      target,
      offset: start + index + whole.length - target.length,
    }));
    start += line.length + 1;
    return links;
  });
}

/** What a link can name behind `#`: each heading in lower case, its spaces as dashes. */
export function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const line of proseLines(text)) {
    const [, heading] = HEADING.exec(line) ?? [];
    if (heading === undefined) continue;
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = words.replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '').replaceAll(' ', '-');
    // A heading that comes again gets a number.
    let unique = anchor;
    for (let count = 1; anchors.has(unique); count += 1) unique = `${anchor}-${count}`;
    anchors.add(unique);
  }
  return anchors;
}

/** The text with every link target replaced by what `replace` gives for it. */
export function replaceTargets(text: string, replace: (target: string) => string): string {
  let replaced = '';
  let end = 0;
  for (const { offset, target } of linksOf(text)) {
    replaced += text.slice(end, offset) + replace(target);
    end = offset + target.length;
  }
  return replaced + text.slice(end);
}

/** True for a target inside the repository: neither a URL nor a place on the same page. */
export function isRelative(target: string): boolean {
  return !/^([a-z][a-z\d+.-]*:|\/|#)/i.test(target);
}
