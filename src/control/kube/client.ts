// Calls of the API server: JSON in, JSON out, and watches line by line. Where it is and how we prove who we are is for
// @kubernetes/client-node; its generated API is not used, as that would build a typed object of every field of every
// pod, of which the agent keeps some ten.

import { HttpMethod, type KubeConfig, RequestContext } from "@kubernetes/client-node";
import { Agent, type Dispatcher, request } from "undici";

/** How long a call that is no watch may take. */
const CALL_MS = 30_000;
/** To accept a watch is little work: a connection that brings no answer by then is dead, and the next try makes one. */
const WATCH_START_MS = 10_000;
/** Credentials and certificates are read again after this, as projected tokens are renewed long before they expire. */
const CREDENTIALS_MS = 60_000;
/** Of what a proxy says in place of the API server. */
const FOREIGN_WORDS_MAX = 200;
/** How the API server's audit log calls us. */
const USER_AGENT = "pointsman";
/** One connection for each call: one that died silently takes no other call with it. */
const HTTP_1 = { allowH2: false };

export type Query = Readonly<Record<string, string | number | undefined>>;

export type SendOptions = {
  readonly query?: Query;
  /** Of a patch it says what kind of patch it is. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
};

/** A line of a watch. */
export type WatchEvent = {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: unknown;
};

export type WatchOptions = {
  /** Called once, when the server has accepted the watch. */
  readonly onStart?: () => void;
  readonly onEvent: (event: WatchEvent) => void;
  /** The watch is given up when nothing was heard for so long. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
};

/** The API server did not do what it was asked, in its own words. */
export class KubeError extends Error {
  /** The HTTP status; undefined when there was no answer. */
  readonly status: number | undefined;
  /** How long the server asks to be left alone; undefined when it does not say. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, status: number | undefined, retryAfterMs?: number) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** What proves who we are: headers, and connections with our certificate. */
type Credentials = { readonly headers: Record<string, string>; readonly dispatcher: Dispatcher };

type Call = {
  readonly method: Dispatcher.HttpMethod;
  readonly signal: AbortSignal;
  readonly body?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly headersTimeout: number;
  readonly bodyTimeout?: number;
};

export class KubeClient {
  readonly #reread: (config: KubeConfig) => KubeConfig;
  #config: KubeConfig;
  #credentials: { readonly read: Promise<Credentials>; readonly untilMs: number } | undefined;

  /** `reread` is asked for the configuration as it is now when the server no longer takes our credentials. */
  constructor(config: KubeConfig, reread: (config: KubeConfig) => KubeConfig = (same) => same) {
    this.#config = config;
    this.#reread = reread;
  }

  /** Where the API server is. */
  get server(): string {
    return this.#config.getCurrentCluster()!.server.replace(/\/+$/, "");
  }

  /** GET of a path such as /api/v1/namespaces/default/pods. Throws a KubeError. */
  get(path: string, query: Query = {}, signal?: AbortSignal): Promise<unknown> {
    return this.#json("GET", path, { query, signal });
  }

  /** Sends `body` as JSON. Throws a KubeError. */
  send(
    method: "POST" | "PUT" | "PATCH",
    path: string,
    body: unknown,
    { query = {}, contentType = "application/json", signal }: SendOptions = {},
  ): Promise<unknown> {
    return this.#json(method, path, { query, body: JSON.stringify(body), contentType, signal });
  }

  /**
   * Watches a collection: hands every event on, in order, until the server ends the watch. Throws a KubeError when it
   * cannot be started or breaks, also when nothing was heard for `silenceMs`.
   */
  async watch(path: string, query: Query, { onStart, onEvent, silenceMs, signal }: WatchOptions): Promise<void> {
    const call = { method: "GET", signal, headersTimeout: WATCH_START_MS, bodyTimeout: silenceMs } as const;
    try {
      const { statusCode, headers, body } = await this.#request(path, { ...query, watch: "true" }, call);
      if (statusCode !== 200) throw await errorOf(statusCode, headers, body);
      onStart?.();
      for await (const line of linesOf(body)) onEvent(this.#parsed(line) as WatchEvent);
    } catch (error) {
      throw this.#told(error, silenceMs);
    }
  }

  /** Ends all connections. */
  async stop(): Promise<void> {
    const credentials = await this.#credentials?.read.catch(() => undefined);
    this.#credentials = undefined;
    await credentials?.dispatcher.destroy();
  }

  async #json(
    method: Dispatcher.HttpMethod,
    path: string,
    given: { query: Query; body?: string; contentType?: string; signal?: AbortSignal | undefined },
  ): Promise<unknown> {
    const { query, body: sent, contentType, signal } = given;
    const limit = AbortSignal.timeout(CALL_MS);
    try {
      const { statusCode, headers, body } = await this.#request(path, query, {
        method,
        headersTimeout: CALL_MS,
        body: sent ?? null,
        headers: contentType === undefined ? {} : { "content-type": contentType },
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      });
      if (statusCode >= 300) throw await errorOf(statusCode, headers, body);
      return this.#parsed(await body.text());
    } catch (error) {
      throw this.#told(error, signal?.aborted ? undefined : CALL_MS);
    }
  }

  async #request(path: string, query: Query, call: Call): Promise<Dispatcher.ResponseData> {
    const url = new URL(this.server + path);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value));
    const { headers, dispatcher } = await this.#authenticated();
    const answer = await request(url, {
      ...call,
      ...HTTP_1,
      headers: { ...headers, ...call.headers, accept: "application/json", "user-agent": USER_AGENT },
      dispatcher,
    });
    if (answer.statusCode === 401) this.#refused();
    return answer;
  }

  /** Read once for all calls that ask at the same time. */
  #authenticated(): Promise<Credentials> {
    const nowMs = performance.now();
    if (this.#credentials !== undefined && nowMs < this.#credentials.untilMs) return this.#credentials.read;
    this.#forget();
    const read = this.#read();
    this.#credentials = { read, untilMs: nowMs + CREDENTIALS_MS };
    read.catch(() => {
      if (this.#credentials?.read === read) this.#credentials = undefined;
    });
    return read;
  }

  async #read(): Promise<Credentials> {
    try {
      const context = new RequestContext(this.server, HttpMethod.GET);
      await this.#config.applySecurityAuthentication(context);
      return { headers: context.getHeaders(), dispatcher: context.getDispatcher() ?? new Agent() };
    } catch (error) {
      throw new KubeError(`no credentials for ${this.server}: ${reasonOf(error)}`, undefined);
    }
  }

  /** What was thought to prove who we are does not, or no longer: the next call reads it again. */
  #refused(): void {
    this.#forget();
    try {
      this.#config = this.#reread(this.#config);
    } catch {
      // The file is being written, or gone: what it said before is tried again.
    }
  }

  /** Its connections end when the calls on them have, also those that are just about to be made. */
  #forget(): void {
    const retired = this.#credentials;
    this.#credentials = undefined;
    retired?.read.then(
      ({ dispatcher }) => setImmediate(() => dispatcher.close().catch(() => {})),
      () => {},
    );
  }

  #parsed(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new KubeError(`${this.server} says what is no JSON: ${reasonOf(error)}`, undefined);
    }
  }

  /** `limitMs` is undefined when it was the caller who would not wait any longer. */
  #told(error: unknown, limitMs: number | undefined): KubeError {
    if (error instanceof KubeError) return error;
    const { name, code } = error as Error & { readonly code?: string };
    const isLate = name === "TimeoutError" || code === "UND_ERR_BODY_TIMEOUT";
    const within = limitMs === undefined ? "in time" : `within ${Math.round(limitMs / 100) / 10} s`;
    const reason = isLate ? `nothing heard ${within}` : reasonOf(error);
    return new KubeError(`${this.server} does not answer: ${reason}`, undefined);
  }
}

/** Complete lines that are not empty. A stream that ends within a line is broken: what it was about to say is lost. */
async function* linesOf(body: Dispatcher.ResponseData["body"]): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk as Buffer, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== "") yield line;
  }
  if (rest.trim() !== "") throw new Error("the watch ended within a line");
}

/** From a body of kind Status; else its first characters. */
async function errorOf(
  status: number,
  headers: Dispatcher.ResponseData["headers"],
  body: Dispatcher.ResponseData["body"],
): Promise<KubeError> {
  const seconds = Number(headers["retry-after"]);
  const retryAfterMs = seconds > 0 ? seconds * 1_000 : undefined;
  const words = wordsOf(await body.text()) || "no reason given";
  return new KubeError(`${status}: ${words}`, status, retryAfterMs);
}

function wordsOf(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === "string" && message !== "") return message;
  } catch {
    // No JSON: some proxy's words.
  }
  return text.slice(0, FOREIGN_WORDS_MAX).trim();
}

/** A connection that was refused on several addresses has no message of its own. */
function reasonOf(error: unknown): string {
  const { message, code } = error as Error & { readonly code?: string };
  return message || (code ?? String(error));
}
