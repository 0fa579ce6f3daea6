// Text in columns.

/** Rows under a head, columns two spaces apart; numbers and "-" stand to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const isNumeric = head.map((_, column) => rows.every((row) => /^(-|-?[\d.]+)$/.test(row[column] ?? "-")));
  const width = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]) =>
    head
      .map((_, column) => {
        const cell = row[column] ?? "";
        return isNumeric[column] ? cell.padStart(width[column]!) : cell.padEnd(width[column]!);
      })
      .join("  ")
      .trimEnd();
  return `${all.map(line).join("\n")}\n`;
}
