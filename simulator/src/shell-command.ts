// Commands that are printed to be copied.

/** The words as one line for a POSIX shell. `--name=value` reads better as `--name value`. */
export function shellCommand(words: readonly string[]): string {
  return words
    .flatMap((word) => {
      // A value that begins with a dash would be a flag.
      const [, name, value] = /^(--[a-z-]+)=([^-].*)$/s.exec(word) ?? [];
      return name === undefined ? [word] : [name, value!];
    })
    .map(quote)
    .join(' ');
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
