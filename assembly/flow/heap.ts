// A priority queue of nodes that lie in other tables' rows: a leftist heap (C. A. Crane, 1972). Putting a node in,
// taking out the first or any other, and giving one another key cost O(log n) in the worst case, and nothing is
// allocated. A node is in one heap at a time; a heap is a cell of 4 bytes that holds its first node, 0 = empty.

/** Lies 8-byte aligned inside a row. Pointers are addresses of nodes, 0 = none. */
@unmanaged
export class Node {
  /** The lower comes first … */
  key: u64;
  /** … and of equal ones the lower of this. */
  tie: u64;
  left: u32;
  right: u32;
  parent: u32;
  /** Nodes on the shortest way down from here to a place without a child, this one included. */
  rank: u32;
}

export const NODE_BYTES: usize = offsetof<Node>();

function node(at: u32): Node {
  return changetype<Node>(<usize>at);
}

function rankOf(at: u32): u32 {
  return at == 0 ? 0 : node(at).rank;
}

/** Whether node `a` comes before node `b`. */
export function isBefore(a: Node, b: Node): bool {
  return a.key < b.key || (a.key == b.key && a.tie < b.tie);
}

/** The first node of the heap, or 0. */
export function first(heapAt: usize): u32 {
  return load<u32>(heapAt);
}

/** Puts a node in. */
export function push(heapAt: usize, at: u32): void {
  const added = node(at);
  added.left = 0;
  added.right = 0;
  added.parent = 0;
  added.rank = 1;
  setFirst(heapAt, merge(load<u32>(heapAt), at));
}

/** Takes a node out that is in the heap. */
export function remove(heapAt: usize, at: u32): void {
  const removed = node(at);
  const parent = removed.parent;
  const rest = merge(removed.left, removed.right);
  if (parent == 0) {
    setFirst(heapAt, rest);
    return;
  }
  if (rest != 0) node(rest).parent = parent;
  if (node(parent).left == at) node(parent).left = rest;
  else node(parent).right = rest;
  settleUp(parent);
}

/** Gives a node of the heap another key. */
export function rekey(heapAt: usize, at: u32, key: u64, tie: u64): void {
  if (node(at).key == key && node(at).tie == tie) return;
  remove(heapAt, at);
  node(at).key = key;
  node(at).tie = tie;
  push(heapAt, at);
}

function setFirst(heapAt: usize, at: u32): void {
  store<u32>(heapAt, at);
  if (at != 0) node(at).parent = 0;
}

/** Both heaps as one; follows right sides only, which are O(log n) long. */
function merge(a: u32, b: u32): u32 {
  if (a == 0) return b;
  if (b == 0) return a;
  const isFirst = isBefore(node(a), node(b));
  const top = isFirst ? a : b;
  const merged = merge(node(top).right, isFirst ? b : a);
  node(top).right = merged;
  node(merged).parent = top;
  settle(top);
  return top;
}

/** Puts the child of higher rank to the left. Answers whether the node's rank changed. */
function settle(at: u32): bool {
  const settled = node(at);
  if (rankOf(settled.left) < rankOf(settled.right)) {
    const left = settled.left;
    settled.left = settled.right;
    settled.right = left;
  }
  const rank = rankOf(settled.right) + 1;
  if (rank == settled.rank) return false;
  settled.rank = rank;
  return true;
}

/** After a child was taken: ranks upwards, as far as they change, which is O(log n). */
function settleUp(from: u32): void {
  let at = from;
  while (at != 0 && settle(at)) at = node(at).parent;
}
