// The house rules as a test: what a reviewer would otherwise say again and again.

import { spawnSync } from "node:child_process";
import { join, posix } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { importsOf, nodes, placeOf, ROOT, type SourceFile, sourceFiles } from "./setup/source-files.ts";

const LINE_LENGTH_MAX = 120;
const FUNCTION_LINES_MAX = 70;
/** Folders of the filter that run for every request: nothing is allocated there. */
const HOT = ["request", "flow", "prefix", "pick", "response", "state", "share", "explain"].map(
  (name) => `assembly/${name}/`,
);

const files = sourceFiles();
const trees = files.flatMap((file) => (file.tree === undefined ? [] : [file.tree]));

describe("text", () => {
  test(`no line is longer than ${LINE_LENGTH_MAX}, unless it is one word`, () => {
    expect(lines((line) => [...line].length > LINE_LENGTH_MAX && /\S\s+\S/.test(line))).toEqual([]);
  });

  test("nothing is left to be done later", () => {
    // spelled so that this line is no hit itself
    const markers = new RegExp(`\\b(${["TO", "FIX"].join("DO|")}ME|X{3})\\b`);
    expect(lines((line) => markers.test(line))).toEqual([]);
  });
});

describe("functions", () => {
  test(`none is longer than ${FUNCTION_LINES_MAX} lines`, () => {
    expect(places(trees, (node) => isNamedFunction(node) && lineCount(node) > FUNCTION_LINES_MAX)).toEqual([]);
  });
});

describe("modules", () => {
  test("no default export", () => {
    const sources = trees.filter((tree) => tree.fileName !== "vitest.config.ts");
    expect(places(sources, isDefaultExport)).toEqual([]);
  });

  test("the agent and the filter meet in src/wire only", () => {
    const wrong = [
      ...importing("src/", (to) => to.startsWith("assembly/")),
      ...importing("assembly/", (to) => to.startsWith("src/") && !to.startsWith("src/wire/")),
      ...importing("src/wire/", (to) => !to.startsWith("src/wire/")),
    ];
    expect(wrong).toEqual([]);
  });

  test("only assembly/abi/host.ts knows the SDK", () => {
    const importers = importing("", (to) => to.startsWith("@gcoredev/proxy-wasm-sdk-as"));
    expect(importers.filter((place) => !place.startsWith("assembly/abi/host.ts:"))).toEqual([]);
  });

  test("no station of the request path imports one to its left", () => {
    expect(importing("assembly/request/", isToTheLeft)).toEqual([]);
  });
});

describe("the filter", () => {
  test("has no decorator but @unmanaged", () => {
    expect(places(under("assembly/"), (node) => ts.isDecorator(node) && node.getText() !== "@unmanaged")).toEqual([]);
  });

  test.each(HOT)("%s allocates nothing inside a function", (folder) => {
    expect(places(under(folder), (node) => isAllocation(node) && isInsideFunction(node))).toEqual([]);
  });
});

describe("tools", () => {
  test("biome: format and lint", () => {
    expectQuiet("@biomejs/biome/bin/biome", ["check", "--error-on-warnings", "--diagnostic-level=warn", "."]);
  });

  test("tsc: the agent, the tests, the scripts", () => expectQuiet("typescript/bin/tsc", ["-p", "."]));

  test("tsc: the filter", () => expectQuiet("typescript/bin/tsc", ["-p", "assembly"]));

  test("knip: nothing unused", () => expectQuiet("knip/bin/knip.js", ["--no-progress", "--no-config-hints"]));
});

/** Runs a tool of node_modules; what it complains about becomes the failure's message. */
function expectQuiet(tool: string, args: readonly string[]): void {
  const done = spawnSync(process.execPath, [join(ROOT, "node_modules", tool), ...args], {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  if (done.status !== 0) throw new Error(`exit status ${done.status}\n${done.stdout}${done.stderr}`);
}

function lines(isWrong: (line: string) => boolean): readonly string[] {
  return files.flatMap((file: SourceFile) =>
    file.lines.flatMap((line, index) => (isWrong(line) ? [`${file.path}:${index + 1}: ${line.trim()}`] : [])),
  );
}

function places(sources: readonly ts.SourceFile[], isWrong: (node: ts.Node) => boolean): readonly string[] {
  return sources.flatMap((tree) => [...nodes(tree)].filter(isWrong).map(placeOf));
}

function under(folder: string): readonly ts.SourceFile[] {
  return trees.filter((tree) => tree.fileName.startsWith(folder));
}

/** Imports, from files of this folder, of what `isWrong` says, as paths in the repository or package names. */
function importing(folder: string, isWrong: (to: string, from: string) => boolean): readonly string[] {
  return under(folder).flatMap((tree) =>
    importsOf(tree).flatMap((specifier) => {
      const { text } = specifier;
      const to = text.startsWith(".") ? posix.join(posix.dirname(tree.fileName), text) : text;
      return isWrong(to, tree.fileName) ? [`${placeOf(specifier)}: ${text}`] : [];
    }),
  );
}

/** Stations are numbered: "3_scan.ts" is to the left of "4_resolve.ts". */
function isToTheLeft(to: string, from: string): boolean {
  const number = (path: string) => Number(/^assembly\/request\/(\d)_/.exec(path)?.[1] ?? Number.NaN);
  return number(to) < number(from);
}

function isNamedFunction(node: ts.Node): boolean {
  if (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node) || ts.isConstructorDeclaration(node)) return true;
  return (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) && ts.isVariableDeclaration(node.parent);
}

function lineCount(node: ts.Node): number {
  const file = node.getSourceFile();
  const line = (position: number) => file.getLineAndCharacterOfPosition(position).line;
  return line(node.getEnd()) - line(node.getStart()) + 1;
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true;
  return node.kind === ts.SyntaxKind.DefaultKeyword && !ts.isDefaultClause(node.parent);
}

function isAllocation(node: ts.Node): boolean {
  if (ts.isNewExpression(node) || ts.isTemplateExpression(node) || ts.isArrayLiteralExpression(node)) return true;
  if (ts.isCallExpression(node)) return /\.(toString|concat|substring|slice|encode)$/.test(node.expression.getText());
  return (
    ts.isBinaryExpression(node) &&
    node.operatorToken.kind === ts.SyntaxKind.PlusToken &&
    [node.left, node.right].some((side) => ts.isStringLiteralLike(side))
  );
}

function isInsideFunction(node: ts.Node): boolean {
  return ts.findAncestor(node.parent, (ancestor) => ts.isFunctionLike(ancestor)) !== undefined;
}
