// The image on paper: what the Dockerfile would copy, run as a pod with a read-only root file system would run it.
// There is no Docker here, so scripts/image-steps fills a folder, and a private mount namespace stands in for a
// container.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { FakeIngest } from "../control/fake-ingest.ts";
import { podYaml, poolYaml } from "../control/objects.ts";
import { temporaryDir, until } from "../control/until.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const NODE = realpathSync(join(ROOT, "node_modules/node/bin/node"));
const MIB = 1_048_576;
/** What gcr.io/distroless/nodejs24-debian12 has beside node: base-debian12 and libstdc++ (its README: about 23 MB). */
const BASE_MIB = 25;
const IMAGE_MIB_MAX = 200;
const UID = 65_532;

/**
 * Arguments: node, the image's folder, that of the objects, that of the socket, user, and what node is to run. Makes a
 * root with what distroless has and nothing that can be written to, changes to it and to that user.
 */
const CONTAINER = `
set -e
node=$1 image=$2 objects=$3 sockets=$4 user=$5 root=$6
shift 6
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
cd "$root"
mkdir -p nodejs/bin opt/pointsman objects run/pointsman proc dev usr/lib
touch nodejs/bin/node dev/null dev/urandom
hold() { mount --bind "$1" "$2"; mount -o remount,bind,ro "$2"; }
hold "$node" nodejs/bin/node
hold "$image" opt/pointsman
hold "$objects" objects
hold "$sockets" run/pointsman
hold /usr/lib usr/lib
for dir in lib lib64; do
  [ -L "/$dir" ] && ln -s "usr/$dir" "$dir" || { mkdir "$dir"; hold "/$dir" "$dir"; }
done
[ ! -d /usr/lib64 ] || { mkdir usr/lib64; hold /usr/lib64 usr/lib64; }
mount --bind /dev/null dev/null
mount --bind /dev/urandom dev/urandom
mount --rbind /proc proc
mount -o remount,ro "$root"
exec env -i NODE_ENV=production "$(command -v chroot)" --userspec="$user" --groups= "$root" /nodejs/bin/node "$@"
`;

let image = "";

beforeAll(() => {
  const ranges = readFileSync("/proc/self/uid_map", "utf8").trim().split("\n");
  const isUser = ranges.some((line) => {
    const [first, , count] = line.trim().split(/\s+/).map(Number);
    return first! <= UID && UID < first! + count!;
  });
  if (process.getuid?.() !== 0 || !isUser)
    throw new Error(`only root may run something as user ${UID}: run this as root`);
  image = mkdtempSync(join(tmpdir(), "pointsman-image-"));
  execFileSync(join(ROOT, "scripts/image-steps"), [image], { stdio: "pipe" });
  chmodSync(image, 0o755);
}, 180_000);

afterAll(() => rmSync(image, { recursive: true, force: true }));

function inContainer(mounts: { readonly objects: string; readonly sockets: string }, args: readonly string[]) {
  const { objects, sockets } = mounts;
  const container = ["--mount", "sh", "-c", CONTAINER, "sh", NODE, image, objects, sockets, `${UID}:${UID}`];
  const child: ChildProcess = spawn("unshare", [...container, temporaryDir(), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const output: string[] = [];
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding("utf8").on("data", (text) => output.push(text));
  return { child, exit: once(child, "exit"), output: () => output.join("") };
}

/** A folder that everybody may read. */
function openDir(): string {
  const dir = temporaryDir();
  chmodSync(dir, 0o755);
  return dir;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

test("it stays below 200 MiB", () => {
  const files = readdirSync(image).map((name) => [name, statSync(join(image, name)).size] as const);
  const names = ["filter-usage.wasm", "filter.wasm", "pointsman.mjs", "pointsman.mjs.LEGAL.txt"];
  expect(files.map(([name]) => name).sort()).toEqual(names);
  const ours = files.reduce((sum, [, size]) => sum + size, 0);
  const total = (statSync(NODE).size + ours) / MIB + BASE_MIB;
  console.log(`image: ${total.toFixed(1)} MiB, of which ${(ours / MIB).toFixed(1)} MiB are ours`);
  expect(total).toBeLessThan(IMAGE_MIB_MAX);
});

test("what this test calls a container has nothing that can be written to", async () => {
  const places = ["/", "/tmp", "/root", "/opt/pointsman", "/objects", "/run/pointsman", "/dev"];
  const script = `
    const { writeFileSync } = require("node:fs");
    const tried = ${JSON.stringify(places)}.map((dir) => {
      try { writeFileSync(dir + "/x", ""); return "written"; } catch ({ code }) { return code; }
    });
    const who = { uid: process.getuid(), groups: process.getgroups(), home: process.env.HOME };
    console.log(JSON.stringify({ tried, ...who }));`;
  const { exit, output } = inContainer({ objects: openDir(), sockets: openDir() }, ["-e", script]);
  await exit;
  const { tried, uid, groups, home } = JSON.parse(output());
  expect({ uid, groups, home }).toEqual({ uid: UID, groups: [UID], home: undefined });
  expect(tried).toEqual(places.map(() => expect.stringMatching(/^(EROFS|EACCES|ENOENT)$/)));
});

test("the agent runs in it, follows changes, and ends when told to", async () => {
  const [objects, sockets] = [openDir(), openDir()];
  writeFileSync(join(objects, "pool.yaml"), poolYaml("p", [8000]));
  writeFileSync(join(objects, "pod.yaml"), podYaml("a", "127.0.0.1"));
  const ingest = new FakeIngest(join(sockets, "control.sock"));
  await ingest.start();
  onTestFinished(() => ingest.stop());
  chmodSync(ingest.socketPath, 0o777);
  const port = await freePort();
  const agent = inContainer({ objects, sockets }, [
    ...["/opt/pointsman/pointsman.mjs", "agent", "--objects", "/objects", "--socket", "/run/pointsman/control.sock"],
    ...["--agent", `127.0.0.1:${port}`],
  ]);
  await until("a topology", () => ingest.taken("topology").length === 1, 20_000).catch((error: Error) => {
    throw new Error(`${error.message}\n${agent.output()}`);
  });
  const get = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  expect(await get("/readyz")).toMatch(/^ready\n/);
  expect(JSON.parse(await get("/snapshot"))).toMatchObject({ pools: [{ name: "p", endpoints: [{ pod: "a" }] }] });
  expect(await get("/metrics")).toContain("pointsman_agent_pushes_total");
  expect(readFileSync(`/proc/${agent.child.pid}/status`, "utf8")).toMatch(
    new RegExp(`^Uid:\\t${UID}\\t${UID}\\t`, "m"),
  );
  writeFileSync(join(objects, "pod.yaml"), podYaml("b", "127.0.0.2"));
  await until("the change", () => ingest.taken("topology").length === 2, 5_000);
  agent.child.kill("SIGTERM");
  expect(await agent.exit).toEqual([0, null]);
  expect(agent.output()).not.toMatch(/EROFS|EACCES|read-only/i);
});

test("the Dockerfile copies those files into that base, for that user", () => {
  const lines = readFileSync(join(ROOT, "Dockerfile"), "utf8").split("\n");
  expect(lines).toEqual(
    expect.arrayContaining([
      "RUN scripts/image-steps /out",
      "FROM gcr.io/distroless/nodejs24-debian12:nonroot",
      `USER ${UID}:${UID}`,
      "COPY --from=build /out/ /opt/pointsman/",
      expect.stringMatching(/^ENTRYPOINT \["\/nodejs\/bin\/node", .*"\/opt\/pointsman\/pointsman.mjs"\]$/),
    ]),
  );
});
