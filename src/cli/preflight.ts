// What `up` looks at before it starts anything.

import { existsSync, statSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Address, formatAddress } from "../envoy/address.ts";
import { locateEnvoy } from "../envoy/locate.ts";
import { USAGE_FILTER_PATH } from "./paths.ts";
import type { UpOptions } from "./up.ts";

/** sun_path of a Unix socket address on Linux, less the final NUL. */
const SOCKET_PATH_BYTES_MAX = 107;

export interface Prepared {
  readonly envoyPath: string;
  readonly filterPath: string;
}

/** Finds what can be wrong before a process is started; rejects with one sentence for the user. */
export async function preflight(options: UpOptions): Promise<Prepared> {
  const envoy = locateEnvoy(options.envoyPath);
  if ("problem" in envoy) throw new Error(envoy.problem);
  const filterPath = resolve(options.filterPath ?? USAGE_FILTER_PATH);
  if (!existsSync(filterPath)) throw new Error(`no filter at ${filterPath}: run \`make build\``);
  await expectFree("--listen", options.listen);
  await expectFree("--admin", options.admin);
  await expectFree("--agent", options.agent);
  await expectFreeSocket(options.socketPath ?? join(tmpdir(), "pointsman-XXXXXX", "control.sock"));
  return { envoyPath: envoy.path, filterPath };
}

/** Tries the port first: Envoy would share it silently with another Envoy (SO_REUSEPORT). */
function expectFree(flag: string, address: Address | undefined): Promise<void> {
  if (address === undefined || address.port === 0) return Promise.resolve();
  return new Promise((done, fail) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "the port is in use" : error.message;
      fail(new Error(`${flag} ${formatAddress(address)}: ${why}`));
    });
    server.listen(address.port, address.host, () => server.close(() => done()));
  });
}

/** A file that is no socket is not ours to remove, and neither is a socket that someone listens on. */
function expectFreeSocket(path: string): Promise<void> {
  const bytes = Buffer.byteLength(resolve(path));
  if (bytes > SOCKET_PATH_BYTES_MAX) {
    throw new Error(`--socket ${path}: a path of ${bytes} bytes; a socket's path has at most ${SOCKET_PATH_BYTES_MAX}`);
  }
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return Promise.resolve();
  if (!found.isSocket()) throw new Error(`--socket ${path}: a file that is no socket is there already`);
  return new Promise((done, fail) => {
    const socket = connect(path, () => {
      socket.destroy();
      fail(new Error(`--socket ${path}: another process listens there`));
    });
    socket.once("error", () => done());
  });
}
