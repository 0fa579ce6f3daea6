// A small API server: collections with list, watch, write and patch, and everything that can go wrong with them. It
// knows no schemas: whatever is put under a path is there. What it says it says as the real one does: lists of
// built-in types without kind and apiVersion on their items, a watch from a forgotten version with a 410 as an event.

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { KubeConfig } from "@kubernetes/client-node";
import { onTestFinished } from "vitest";

/** A Kubernetes object as JSON. */
export type Json = Record<string, unknown> & {
  readonly metadata?: Record<string, unknown> & { readonly namespace?: string; readonly name?: string };
};

export type FakeRequest = {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  /** undefined without one. */
  readonly body: unknown;
  /** By performance.now(). */
  readonly atMs: number;
};

/** What the next requests are answered with in place of the truth. */
export type Failure = {
  readonly status: number;
  readonly message?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** How many requests; 1 by default. */
  readonly times?: number;
  /** Which; all by default. */
  readonly when?: (request: FakeRequest) => boolean;
};

/** Where an object or a collection is. `base` is /api/v1 or /apis/group/version. */
type Place = {
  readonly base: string;
  readonly namespace: string | undefined;
  readonly resource: string;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
};
type Stored = { readonly place: Place; readonly object: Json };
type Change = { readonly version: number; readonly place: Place; readonly before?: Json; readonly after?: Json };
type Watch = { readonly place: Place; readonly query: FakeRequest["query"]; readonly response: ServerResponse };

const PATH = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/;
/** Groups whose lists leave kind and apiVersion of the items out. */
const BUILT_IN = /^\/api\/v1$|^\/apis\/(coordination\.k8s\.io|events\.k8s\.io)\//;

/** Listens on a port of 127.0.0.1 that the system chooses, until the running test ends. */
export async function fakeApiServer(): Promise<FakeApiServer> {
  const server = new FakeApiServer();
  await server.start();
  onTestFinished(() => server.stop());
  return server;
}

export class FakeApiServer {
  readonly requests: FakeRequest[] = [];
  /** Answers of other paths, such as those of discovery. */
  readonly pages = new Map<string, unknown>();
  /** The bearer token asked for; undefined for none. */
  token: string | undefined;
  /** Takes requests and says nothing. */
  silent = false;
  /** Ends each watch as soon as it was accepted. */
  endsAtOnce = false;
  /** How a watch from a forgotten version is refused: the real one does the first, and some proxies the second. */
  goneAs: "event" | "status" = "event";
  #server = createServer();
  #port = 0;
  #version = 100;
  #forgotten = 0;
  readonly #objects = new Map<string, Stored>();
  readonly #kinds = new Map<string, string>();
  readonly #history: Change[] = [];
  readonly #pagesLeft = new Map<string, { readonly version: number; readonly rest: readonly Json[] }>();
  readonly #watches = new Set<Watch>();
  #failures: { readonly failure: Failure; left: number }[] = [];

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** A configuration that leads here; with a token where one is given. */
  config(token?: string): KubeConfig {
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ name: "fake", server: this.url, skipTLSVerify: true }],
      users: [token === undefined ? { name: "me" } : { name: "me", token }],
      contexts: [{ name: "fake", cluster: "fake", user: "me", namespace: "default" }],
      currentContext: "fake",
    });
    return config;
  }

  /** Of the newest change. */
  get version(): number {
    return this.#version;
  }

  /** Watches that are open. */
  get watches(): number {
    return this.#watches.size;
  }

  /** Starts to listen, after the first time on the same port. */
  async start(): Promise<void> {
    this.#server = createServer((request, response) => void this.#take(request, response));
    await new Promise<void>((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Cuts all connections and refuses new ones; what is stored stays. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Creates or replaces an object of the collection at `path` (/api/v1/namespaces/x/pods); returns it as stored. */
  put(path: string, object: Json): Json {
    const place = placeOf(`${path}/${object.metadata?.name}`)!;
    return this.#store({ ...place, namespace: place.namespace ?? object.metadata?.namespace }, object);
  }

  /** The object at `path` (/api/v1/namespaces/x/pods/a); undefined for none. */
  read(path: string): Json | undefined {
    return this.#objects.get(keyOf(placeOf(path)!))?.object;
  }

  remove(path: string): void {
    this.#remove(placeOf(path)!);
  }

  fail(failure: Failure): void {
    this.#failures.push({ failure, left: failure.times ?? 1 });
  }

  /** Answers truthfully again. */
  heal(): void {
    this.#failures = [];
  }

  /** Forgets all history: watches and pages of lists from before are gone. */
  forget(): void {
    this.#version += 1;
    this.#forgotten = this.#version;
  }

  /** Says to all watches that asked for it how far they are. */
  bookmark(): void {
    for (const { place, query, response } of this.#watches) {
      if (query.allowWatchBookmarks !== "true") continue;
      const object = { ...this.#typeOf(place), metadata: { resourceVersion: String(this.#version) } };
      response.write(line("BOOKMARK", object));
    }
  }

  /** Writes text as it is into all watches. */
  write(text: string): void {
    for (const { response } of this.#watches) response.write(text);
  }

  /** Ends all watches as the server does when their time is over. */
  endWatches(): void {
    for (const { response } of this.#watches) response.end();
    this.#watches.clear();
  }

  /** Cuts the connections of all watches. */
  breakWatches(): void {
    for (const { response } of this.#watches) response.destroy();
    this.#watches.clear();
  }

  async #take(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await read(message);
    this.requests.push(request);
    if (this.silent) return;
    const failure = this.#failureOf(request);
    if (failure !== undefined) return refuse(response, failure.status, failure.message ?? "told so", failure.headers);
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`)
      return refuse(response, 401, "Unauthorized");
    const page = this.pages.get(request.path);
    const place = placeOf(request.path);
    if (page !== undefined) return answer(response, 200, page);
    if (place === undefined) return refuse(response, 404, "the server could not find the requested resource");
    if (request.method !== "GET") return this.#write(request, place, response);
    if (request.query.watch === "true") return this.#watch(request, place, response);
    if (place.name === undefined) return this.#list(request, place, response);
    const object = this.#objects.get(keyOf(place))?.object;
    if (object === undefined) return refuse(response, 404, notFound(place));
    answer(response, 200, object);
  }

  #failureOf(request: FakeRequest): Failure | undefined {
    const due = this.#failures.find(({ failure, left }) => left > 0 && (failure.when?.(request) ?? true));
    if (due !== undefined) due.left -= 1;
    return due?.failure;
  }

  #typeOf({ base, resource }: Place): { readonly kind: string; readonly apiVersion: string } {
    const kind = this.#kinds.get(`${base}/${resource}`) ?? "Unknown";
    return { kind, apiVersion: base.replace(/^\/apis?\//, "") };
  }

  #list({ query }: FakeRequest, place: Place, response: ServerResponse): undefined {
    const left = query.continue === undefined ? undefined : this.#pagesLeft.get(query.continue);
    if (query.continue !== undefined && (left === undefined || left.version < this.#forgotten))
      return refuse(response, 410, "The provided continue parameter is too old");
    const version = left?.version ?? this.#version;
    const all = left?.rest ?? this.#select(place, query);
    const limit = Number(query.limit ?? all.length);
    const type = this.#typeOf(place);
    const rest = all.slice(limit);
    const token = `${version}-${this.#pagesLeft.size}`;
    if (rest.length > 0) this.#pagesLeft.set(token, { version, rest });
    answer(response, 200, {
      kind: `${type.kind}List`,
      apiVersion: type.apiVersion,
      metadata: { resourceVersion: String(version), ...(rest.length > 0 ? { continue: token } : {}) },
      items: all.slice(0, limit).map((object) => (BUILT_IN.test(place.base) ? withoutType(object) : object)),
    });
  }

  #select(place: Place, query: FakeRequest["query"]): readonly Json[] {
    const objects = [...this.#objects.values()].filter((stored) => isIn(stored.place, place));
    return objects.map(({ object }) => object).filter((object) => isSelected(object, query));
  }

  #watch({ query }: FakeRequest, place: Place, response: ServerResponse): undefined {
    const since = Number(query.resourceVersion ?? this.#version);
    const gone = since < this.#forgotten;
    if (gone && this.goneAs === "status") return refuse(response, 410, "too old resource version");
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    if (gone) {
      const reason = { kind: "Status", code: 410, reason: "Expired", message: `too old resource version: ${since}` };
      response.end(line("ERROR", reason));
      return;
    }
    const watch = { place, query, response };
    for (const change of this.#history) if (change.version > since) tell(watch, change);
    if (this.endsAtOnce) {
      response.end();
      return;
    }
    this.#watches.add(watch);
    const end = setTimeout(() => response.end(), Number(query.timeoutSeconds ?? 1_800) * 1_000);
    response.on("close", () => {
      clearTimeout(end);
      this.#watches.delete(watch);
    });
  }

  #write({ method, query, body, headers }: FakeRequest, place: Place, response: ServerResponse): undefined {
    const sent = body as Json;
    const target = method === "POST" ? { ...place, name: sent.metadata?.name } : place;
    const held = this.#objects.get(keyOf(target))?.object;
    if (method === "POST" && held !== undefined) return refuse(response, 409, `${target.name} already exists`);
    if (method !== "POST" && held === undefined) return refuse(response, 404, notFound(place));
    const asked = sent?.metadata?.resourceVersion;
    if (held !== undefined && asked !== undefined && asked !== held.metadata?.resourceVersion)
      return refuse(response, 409, `Operation cannot be fulfilled on ${target.name}: the object has been modified`);
    if (method === "DELETE") {
      this.#remove(target);
      return answer(response, 200, { kind: "Status", status: "Success" });
    }
    const isApply = headers["content-type"] === "application/apply-patch+yaml";
    if (isApply && !query.fieldManager) return refuse(response, 400, "fieldManager is required for apply patch");
    if (method === "PATCH" && !isApply && !headers["content-type"]?.includes("merge-patch+json"))
      return refuse(response, 415, "this fake takes merge patches and server-side apply only");
    const given = method === "PATCH" ? merge(held, sent) : sent;
    const whole = target.subresource === "status" ? { ...held, status: (given as Json).status } : given;
    answer(response, method === "POST" ? 201 : 200, this.#store(target, whole as Json));
  }

  #store(place: Place, given: Json): Json {
    const key = keyOf(place);
    const before = this.#objects.get(key)?.object;
    if (typeof given.kind === "string") this.#kinds.set(`${place.base}/${place.resource}`, given.kind);
    this.#version += 1;
    const after: Json = {
      ...this.#typeOf(place),
      ...given,
      metadata: {
        uid: before?.metadata?.uid ?? `uid-${this.#version}`,
        ...given.metadata,
        ...(place.namespace === undefined ? {} : { namespace: place.namespace }),
        resourceVersion: String(this.#version),
      },
    };
    this.#objects.set(key, { place, object: after });
    this.#happened({ version: this.#version, place, ...(before === undefined ? {} : { before }), after });
    return after;
  }

  #remove(place: Place): void {
    const before = this.#objects.get(keyOf(place))!.object;
    this.#objects.delete(keyOf(place));
    this.#version += 1;
    const last = { ...before, metadata: { ...before.metadata, resourceVersion: String(this.#version) } };
    this.#happened({ version: this.#version, place, before: last });
  }

  #happened(change: Change): void {
    this.#history.push(change);
    for (const watch of this.#watches) tell(watch, change);
  }
}

async function read(message: IncomingMessage): Promise<FakeRequest> {
  const { pathname, searchParams } = new URL(message.url!, "http://fake");
  const atMs = performance.now();
  let text = "";
  for await (const chunk of message.setEncoding("utf8")) text += chunk;
  return {
    method: message.method!,
    path: decodeURIComponent(pathname),
    query: Object.fromEntries(searchParams),
    headers: message.headers,
    body: text === "" ? undefined : JSON.parse(text),
    atMs,
  };
}

function placeOf(path: string): Place | undefined {
  const match = PATH.exec(path);
  if (match === null) return undefined;
  const [, base, namespace, resource, name, subresource] = match;
  return { base: base!, namespace, resource: resource!, name, subresource };
}

function keyOf({ base, namespace, resource, name }: Place): string {
  return `${base} ${resource} ${namespace ?? ""}/${name}`;
}

function isIn(place: Place, collection: Place): boolean {
  const { base, resource, namespace } = collection;
  return place.base === base && place.resource === resource && (namespace ?? place.namespace) === place.namespace;
}

/** By labels and by metadata.name, with = only. */
function isSelected(object: Json, { labelSelector, fieldSelector }: FakeRequest["query"]): boolean {
  const labels = (object.metadata?.labels ?? {}) as Readonly<Record<string, string>>;
  const byLabels = pairs(labelSelector).every(([name, value]) => labels[name!] === value);
  return byLabels && pairs(fieldSelector).every(([, value]) => object.metadata?.name === value);
}

function pairs(selector: string | undefined): readonly (readonly string[])[] {
  return selector ? selector.split(",").map((pair) => pair.split(/==?/)) : [];
}

/** What a change is to a watch depends on whether the object was and is among those that it selects. */
function tell({ place, query, response }: Watch, change: Change): void {
  if (!isIn(change.place, place)) return;
  const was = change.before !== undefined && isSelected(change.before, query);
  const is = change.after !== undefined && isSelected(change.after, query);
  if (is) response.write(line(was ? "MODIFIED" : "ADDED", change.after));
  else if (was) response.write(line("DELETED", change.after ?? change.before));
}

function line(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`;
}

function withoutType({ kind: _kind, apiVersion: _apiVersion, ...rest }: Json): Json {
  return rest;
}

/** By RFC 7386. */
function merge(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch))
    if (value === null) delete merged[name];
    else if (name === "conditions") merged[name] = mergeByType(merged[name], value);
    else merged[name] = merge(merged[name], value);
  return merged;
}

/** A list that is a map by type, in JSON of an apply; merge patches do not send one here. */
function mergeByType(target: unknown, patch: unknown): unknown {
  const byType = new Map([target ?? [], patch].flatMap((list) => (list as Json[]).map((entry) => [entry.type, entry])));
  return [...byType.values()];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function notFound({ resource, name }: Place): string {
  return `${resource} "${name}" not found`;
}

function refuse(
  response: ServerResponse,
  code: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): undefined {
  answer(response, code, { kind: "Status", apiVersion: "v1", status: "Failure", message, code }, headers);
}

function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): undefined {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}
