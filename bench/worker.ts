// A child process that answers one question at a time: the load generator and the backends run in
// processes of their own, so that their work is never counted as Envoy's nor delays each other's.

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

type Reply<Answer> = { readonly answer: Answer } | { readonly error: string };

export type Worker<Question, Answer> = {
  readonly pid: number;
  /** Rejects with what the child threw, when it exits, or after `limitMs`. */
  ask(question: Question, limitMs: number): Promise<Answer>;
  stop(): Promise<void>;
};

/** Starts `file` (relative to this folder), which calls answerQuestions. */
export function startWorker<Question extends object, Answer>(file: string): Worker<Question, Answer> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), { serialization: "advanced" });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    pid: child.pid ?? 0,
    ask: (question, limitMs) => ask<Answer>(child, file, question, limitMs),
    async stop() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

function ask<Answer>(child: ChildProcess, file: string, question: object, limitMs: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const settle = (outcome: () => void) => {
      clearTimeout(timer);
      child.off("message", onMessage);
      child.off("exit", onExit);
      outcome();
    };
    const onMessage = (reply: Reply<Answer>) =>
      settle(() => ("error" in reply ? reject(new Error(`${file}: ${reply.error}`)) : resolve(reply.answer)));
    const onExit = (code: number | null) => settle(() => reject(new Error(`${file} exited with ${code}`)));
    const timer = setTimeout(
      () => settle(() => reject(new Error(`${file} gave no answer in ${limitMs} ms to ${JSON.stringify(question)}`))),
      limitMs,
    );
    child.on("message", onMessage);
    child.on("exit", onExit);
    child.send(question);
  });
}

/** The child's side: answers until the parent goes. */
export function answerQuestions<Question, Answer>(answer: (question: Question) => Promise<Answer>): void {
  process.on("message", (question: Question) => {
    answer(question).then(
      (value) => process.send?.({ answer: value }),
      (error: Error) => process.send?.({ error: error.message }),
    );
  });
  process.on("disconnect", () => process.exit(0));
}
