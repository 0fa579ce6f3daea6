// Parts of Markdown tables.

export function section(title: string, body: string): string {
  return body === "" ? "" : `### ${title}\n\n${body}`;
}

/** "" when there are no rows. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = line(head.map((_, i) => (i === 0 ? "---" : "---:")));
  return [line(head), rule, ...rows.map(line)].join("\n");
}

export function verdict(limit: number, value: number, digits = 1): string {
  return `≤ ${limit.toFixed(digits)}: ${value <= limit ? "met" : "**missed**"}`;
}

export function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
}

export function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
