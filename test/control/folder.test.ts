// A watched folder: what comes, what goes, and what stays when a document is broken.

import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { type ConfigObject, objectKey } from "../../src/control/kinds/object.ts";
import { Folder, FolderError } from "../../src/control/source/folder.ts";
import { logLines } from "./log-lines.ts";
import { objective, textOf, X_K8S } from "./models/documents.ts";
import { podYaml, poolYaml } from "./objects.ts";
import { temporaryDir, until } from "./until.ts";

function watching(files: Readonly<Record<string, string>>) {
  const dir = temporaryDir();
  const put = (file: string, text: string) => writeFileSync(join(dir, file), text);
  for (const [file, text] of Object.entries(files)) put(file, text);
  const { log, lines } = logLines();
  const seen: (readonly ConfigObject[])[] = [];
  const folder = new Folder({ dir, log, onObjects: (objects) => seen.push(objects) });
  onTestFinished(() => folder.stop());
  const now = () => seen.at(-1)!;
  const keys = () => now().map(objectKey).sort();
  const ip = (name: string) =>
    now().flatMap((object) => (object.kind === "Pod" && object.name === name ? [object.ip] : []))[0];
  const errors = () => lines.filter((line) => line.level === "error");
  return { dir, put, folder, lines, seen, keys, ip, errors };
}

describe("folder", () => {
  test("is read at once; other files, hidden ones and editors' copies are not", () => {
    const { keys, lines } = watching({
      "pods.yaml": `${podYaml("a", "10.0.0.1")}---\n${podYaml("b", "10.0.0.2")}`,
      "pool.json": JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata: { name: "c" } }),
      ".hidden.yaml": podYaml("d", "10.0.0.4"),
      "copy.yaml~": podYaml("e", "10.0.0.5"),
      "notes.txt": "no: [yaml",
      "service.yml": "apiVersion: v1\nkind: Service\n---\napiVersion: v1\nkind: Service\n",
    });
    expect(keys()).toEqual(["Pod/default/a", "Pod/default/b", "Pod/default/c"]);
    expect(lines).toEqual([
      { level: "info", message: "objects of kind v1 Service are ignored", fields: { file: "service.yml", line: 1 } },
    ]);
  });

  test("objects are in the order of files, then of their places, also those that a broken document keeps", async () => {
    const { put, seen, errors } = watching({
      "b.yaml": textOf([objective("z"), objective("y"), objective("x")]),
      "a.yaml": textOf([objective("w")]),
    });
    const names = () => seen.at(-1)!.map((object) => object.name);
    expect(names()).toEqual(["w", "z", "y", "x"]);
    put("b.yaml", textOf([objective("z"), objective("y", 0.5), objective("x")]));
    await until("the error", () => errors().length === 1, 1_000);
    expect(names()).toEqual(["w", "z", "y", "x"]);
    put("c.yaml", textOf([objective("v")]));
    await until("new", () => names().join("") === "wzyxv", 1_000);
  });

  test("an object may be there in both groups; broken in one, it stays as it was in that", async () => {
    const both = (priority: number) => textOf([objective("a", 1, { group: X_K8S }), objective("a", priority)]);
    const { put, keys, errors, folder } = watching({ "a.yaml": both(2) });
    const found = ["InferenceObjective.inference.networking.x-k8s.io/default/a", "InferenceObjective/default/a"];
    expect([keys(), errors()]).toEqual([found, []]);
    put("a.yaml", both(0.5));
    await until("the error", () => errors().length === 1, 1_000);
    expect([keys(), folder.problems()]).toMatchObject([found, [{ status: "broken", key: found[1] }]]);
    put("a.yaml", textOf([objective("a", 0.5)]));
    await until("another file", () => folder.problems()[0]?.kept.length === 2, 1_000);
    expect(keys()).toEqual(found);
    put("a.yaml", textOf([objective("a", 3)]));
    await until("mended", () => keys().length === 1, 1_000);
  });

  test("that is none is an error at the start", () => {
    const dir = join(temporaryDir(), "absent");
    expect(() => new Folder({ dir, log: () => {}, onObjects: () => {} })).toThrow(FolderError);
  });

  test("a file that the system refuses to look at stops nothing else, and keeps what it held", async () => {
    const { dir, put, keys, ip, errors, folder } = watching({ "a.yaml": podYaml("a", "10.0.0.1") });
    symlinkSync("loop.yaml", join(dir, "loop.yaml"));
    put("b.yaml", podYaml("b", "10.0.0.2"));
    await until("the other file", () => ip("b") === "10.0.0.2", 1_000);
    await until("the error", () => errors().length > 0, 1_000);
    rmSync(join(dir, "a.yaml"));
    symlinkSync("a.yaml", join(dir, "a.yaml"));
    await until("the error of the file that was good", () => errors().length > 1, 1_000);
    expect(keys()).toEqual(["Pod/default/a", "Pod/default/b"]);
    const reason = /^(loop|a)\.yaml:1: file cannot be looked at, expected one that can be read: ELOOP: .*\/\1\.yaml'$/;
    expect(errors().map((line) => line.message)).toEqual([
      expect.stringMatching(reason),
      expect.stringMatching(reason),
    ]);
    expect(errors()[1]?.fields).toMatchObject({ file: "a.yaml", kept: ["Pod/default/a"] });
    rmSync(join(dir, "loop.yaml"));
    put("c.yaml", podYaml("c", "10.0.0.3"));
    await until("told no more", () => folder.problems().length === 1 && ip("c") === "10.0.0.3", 1_000);
  });

  test("a file that the system refuses to look at from the start lets the others apply", () => {
    const dir = temporaryDir();
    symlinkSync("loop.yaml", join(dir, "loop.yaml"));
    writeFileSync(join(dir, "z.yaml"), podYaml("z", "10.0.0.1"));
    const { log, lines } = logLines();
    const seen: (readonly ConfigObject[])[] = [];
    const folder = new Folder({ dir, log, onObjects: (objects) => seen.push(objects) });
    onTestFinished(() => folder.stop());
    expect(seen.map((objects) => objects.map(objectKey))).toEqual([["Pod/default/z"]]);
    expect(lines.map((line) => line.fields.file)).toEqual(["loop.yaml"]);
  });

  test("changes are in force within a second: written in place, renamed into place, new, removed", async () => {
    const { dir, put, keys, ip } = watching({ "a.yaml": podYaml("a", "10.0.0.1"), "b.yaml": podYaml("b", "10.0.0.2") });
    put("a.yaml", podYaml("a", "10.0.0.9"));
    await until("written in place", () => ip("a") === "10.0.0.9", 1_000);
    put(".tmp", podYaml("b", "10.0.0.8"));
    renameSync(join(dir, ".tmp"), join(dir, "b.yaml"));
    await until("renamed into place", () => ip("b") === "10.0.0.8", 1_000);
    put("c.yaml", podYaml("c", "10.0.0.3"));
    await until("new", () => keys().length === 3, 1_000);
    rmSync(join(dir, "a.yaml"));
    await until("removed", () => keys().join() === "Pod/default/b,Pod/default/c", 1_000);
  });

  test("a mounted ConfigMap: links into a directory that is swapped", async () => {
    const dir = temporaryDir();
    for (const version of ["..1", "..2"]) mkdirSync(join(dir, version));
    writeFileSync(join(dir, "..1", "a.yaml"), podYaml("a", "10.0.0.1"));
    writeFileSync(join(dir, "..2", "a.yaml"), podYaml("a", "10.0.0.2"));
    symlinkSync("..1", join(dir, "..data"));
    symlinkSync(join("..data", "a.yaml"), join(dir, "a.yaml"));
    let ip: string | undefined;
    const onObjects = ([object]: readonly ConfigObject[]) => {
      ip = object?.kind === "Pod" ? object.ip : undefined;
    };
    const folder = new Folder({ dir, log: () => {}, onObjects });
    onTestFinished(() => folder.stop());
    expect(ip).toBe("10.0.0.1");
    symlinkSync("..2", join(dir, "..data_tmp"));
    renameSync(join(dir, "..data_tmp"), join(dir, "..data"));
    await until("swapped", () => ip === "10.0.0.2", 1_000);
  });

  test("an editor that moves the old file away first, or writes in pieces, removes nothing", async () => {
    const { dir, put, seen, ip } = watching({ "a.yaml": podYaml("a", "10.0.0.1") });
    renameSync(join(dir, "a.yaml"), join(dir, "a.yaml~"));
    await sleep(60);
    put("a.yaml", "");
    await sleep(20);
    const text = podYaml("a", "10.0.0.2");
    put("a.yaml", text.slice(0, 40));
    await sleep(10);
    appendFileSync(join(dir, "a.yaml"), text.slice(40));
    await until("the new address", () => ip("a") === "10.0.0.2", 1_000);
    expect(seen.filter((objects) => objects.length !== 1)).toEqual([]);
  });
});

describe("a broken document", () => {
  const a = podYaml("a", "10.0.0.1");
  const b = podYaml("b", "10.0.0.2");

  test("keeps its last good state while others change, also in the same file, and is told once", async () => {
    const { put, keys, ip, errors, folder, lines } = watching({
      "x.yaml": `${a}---\n${b}`,
      "y.yaml": podYaml("c", "10.0.0.3"),
    });
    const broken = `${a.replace("10.0.0.1", "nowhere")}---\n${podYaml("b", "10.0.0.20")}`;
    put("x.yaml", broken);
    await until("the other document", () => ip("b") === "10.0.0.20", 1_000);
    put("x.yaml", `# one line more\n${broken}`);
    put("y.yaml", podYaml("c", "10.0.0.30"));
    await until("the other file", () => ip("c") === "10.0.0.30", 1_000);
    expect(ip("a")).toBe("10.0.0.1");
    expect(keys()).toHaveLength(3);
    expect(errors()).toEqual([
      {
        level: "error",
        message: 'x.yaml:8: status.podIP: expected an IPv4 or IPv6 address, found "nowhere"',
        fields: {
          file: "x.yaml",
          line: 8,
          reason: 'status.podIP: expected an IPv4 or IPv6 address, found "nowhere"',
          kept: ["Pod/default/a"],
        },
      },
    ]);
    expect(folder.problems()).toHaveLength(1);
    put("x.yaml", `${a}---\n${b}`);
    await until("all good", () => folder.problems().length === 0, 1_000);
    expect(lines.at(-1)).toMatchObject({ level: "info", message: "x.yaml: no longer wrong" });
  });

  test("that cannot be parsed keeps the object it seems to mean, and lets others of the file go", async () => {
    const { put, keys, errors } = watching({ "x.yaml": `${a}---\n${b}` });
    put("x.yaml", a.replace("conditions:", "conditions: ["));
    await until("the error", () => errors().length > 0, 1_000);
    expect(keys()).toEqual(["Pod/default/a"]);
    expect(errors()[0]?.message).toMatch(/^x\.yaml:\d+: not YAML: /);
  });

  test("that says not which object it is keeps all of its file that nothing else names", async () => {
    const { put, keys, ip, errors } = watching({ "x.yaml": `${a}---\n${b}` });
    put("x.yaml", `kind: [\n---\n${b.replace("10.0.0.2", "10.0.0.20")}`);
    await until("the other document", () => ip("b") === "10.0.0.20", 1_000);
    expect(keys()).toEqual(["Pod/default/a", "Pod/default/b"]);
    expect(errors()[0]?.fields).toMatchObject({ line: 1, kept: ["Pod/default/a"] });
  });

  test("from the start has no last good state", () => {
    const { keys, errors } = watching({ "x.yaml": `${poolYaml("p", [0])}---\n${b}` });
    expect(keys()).toEqual(["Pod/default/b"]);
    expect(errors()[0]?.fields).toMatchObject({ file: "x.yaml", line: 10, kept: [] });
  });

  test("a file that is no UTF-8 keeps everything", async () => {
    const { dir, keys, errors } = watching({ "x.yaml": a });
    writeFileSync(join(dir, "x.yaml"), Buffer.from([0xff, 0xfe, 0x00]));
    await until("the error", () => errors().length > 0, 1_000);
    expect(keys()).toEqual(["Pod/default/a"]);
    expect(errors()[0]?.message).toMatch(/^x\.yaml:1: file cannot be read, expected UTF-8 text/);
  });

  test("an object defined twice: the first counts, the second is told", async () => {
    const { put, ip, errors } = watching({
      "1.yaml": `${a}---\n${a.replace("10.0.0.1", "10.0.0.11")}`,
      "2.yaml": a.replace("10.0.0.1", "10.0.0.12"),
    });
    expect(ip("a")).toBe("10.0.0.1");
    expect(errors().map((line) => line.message)).toEqual([
      "1.yaml:12: Pod/default/a is already defined in line 1, which counts",
      "2.yaml:1: Pod/default/a is already defined in 1.yaml, which counts",
    ]);
    put("1.yaml", "# empty\n");
    await until("the second file's", () => ip("a") === "10.0.0.12", 1_000);
  });
});
