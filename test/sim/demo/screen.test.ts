import { expect, test } from "vitest";
import { Screen } from "../../../src/demo/screen.ts";

function fake(terminal: { isTTY: boolean; columns?: number }): { screen: Screen; written: () => string } {
  let text = "";
  const write = (chunk: string) => {
    text += chunk;
    return true;
  };
  return { screen: new Screen({ ...terminal, write } as unknown as NodeJS.WriteStream), written: () => text };
}

test("a drawing replaces the one before, and no line of it can wrap", () => {
  const { screen, written } = fake({ isTTY: true, columns: 5 });
  screen.print("stays, whatever its length");
  screen.draw(["one", "two, too long"]);
  screen.draw(["1"]);
  screen.print("end");
  screen.draw(["new"]);
  expect(written()).toBe("stays, whatever its length\none\ntwo, \n\x1b[2A\x1b[J1\nend\nnew\n");
});

test("only a terminal is drawn on", () => {
  expect(fake({ isTTY: true, columns: 77 }).screen).toMatchObject({ live: true, columns: 77 });
  expect(fake({ isTTY: false }).screen.live).toBe(false);
});
