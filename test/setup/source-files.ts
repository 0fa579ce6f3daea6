// The repository's TypeScript as the house rules see it: parsed, not type-checked.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import ts from "typescript";

export const ROOT = resolve(import.meta.dirname, "../..");

export interface SourceFile {
  /** Relative to the repository. */
  readonly path: string;
  readonly lines: readonly string[];
  /** Undefined for what is not TypeScript. */
  readonly tree: ts.SourceFile | undefined;
}

/** Every source and script that git knows or would add. */
export function sourceFiles(): readonly SourceFile[] {
  const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: ROOT });
  const paths = new Set(list.toString().split("\0"));
  return [...paths].flatMap((path) => {
    const text = textOf(path);
    if (text === undefined) return [];
    const tree = path.endsWith(".ts") ? ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true) : undefined;
    return [{ path, lines: text.split("\n"), tree }];
  });
}

/** The file's text if it is a source or a script, and still there. */
function textOf(path: string): string | undefined {
  const isScript = /^(bin|scripts|\.ci)\/[a-z-]+$/.test(path) || path === "Makefile" || path === "Dockerfile";
  if (!isScript && !/\.ts$/.test(path)) return undefined;
  try {
    return readFileSync(join(ROOT, path), "utf8");
  } catch {
    return undefined;
  }
}

/** Every node of the tree, parents first. */
export function* nodes(node: ts.Node): Generator<ts.Node> {
  yield node;
  for (const child of node.getChildren()) yield* nodes(child);
}

/** "path:line" of a node. */
export function placeOf(node: ts.Node): string {
  const file = node.getSourceFile();
  return `${file.fileName}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}

/** What the file imports or re-exports from: the specifiers, as nodes. */
export function importsOf(tree: ts.SourceFile): readonly ts.StringLiteral[] {
  return tree.statements.flatMap((statement) => {
    const from =
      ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement) ? statement.moduleSpecifier : undefined;
    return from !== undefined && ts.isStringLiteral(from) ? [from] : [];
  });
}
