// `pointsman envoy-config`: the Envoy bootstrap that `up` uses, for an Envoy that someone else runs.

import { stringify } from "yaml";
import { bootstrap } from "../../envoy/bootstrap.ts";
import { envoyShape, filterFlags } from "../filter-flags.ts";
import { ADDRESS, PATH } from "../flags.ts";
import type { Runnable } from "../main.ts";
import { USAGE_FILTER_PATH } from "../paths.ts";

const flags = {
  listen: { kind: ADDRESS, help: "where clients send requests (default 127.0.0.1:8080)" },
  admin: { kind: ADDRESS, help: "Envoy's admin interface (default 127.0.0.1:9901)" },
  socket: { kind: PATH, help: "control socket (default /run/pointsman/control.sock)" },
  xds: { kind: PATH, help: "folder that `pointsman agent --xds` writes (default /run/pointsman/xds)" },
  ...filterFlags,
} as const;

export const command: Runnable<typeof flags> = {
  name: "envoy-config",
  summary: "prints the Envoy bootstrap that `up` uses",
  flags,
  run: async (given) => {
    const config = bootstrap({
      listen: given.listen ?? { host: "127.0.0.1", port: 8080 },
      admin: given.admin ?? { host: "127.0.0.1", port: 9901 },
      socketPath: given.socket ?? "/run/pointsman/control.sock",
      xdsDir: given.xds ?? "/run/pointsman/xds",
      filterPath: USAGE_FILTER_PATH,
      ...envoyShape("envoy-config", given),
    });
    process.stdout.write(stringify(config, { lineWidth: 0 }));
    return 0;
  },
};
