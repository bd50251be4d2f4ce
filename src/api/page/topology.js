// The graph: what is needed above, what needs it below. Things that only differ by name are one box with a square each.
import { el, svg } from "./dom.js";

const NODE = 156, GAP_X = 18, GAP_Y = 40, LINE = 14, HIGH = 38, DOT = 9, MOST = 120, TOGETHER = 4;
const WORST = ["good", "unknown", "noted", "bad"];
const worse = (a, b) => (WORST.indexOf(a) >= WORST.indexOf(b) ? a : b);
const cut = (name, most) => (name.length <= most ? name : name.slice(0, Math.ceil(most / 2) - 1) + "…" + name.slice(name.length - Math.floor(most / 2)));

/// Boxes with what they need, each box once.
function boxes(entities, active) {
  const needed = new Set(entities.flatMap((e) => (e.needs || []).map(([, to]) => to)));
  const groups = new Map(), made = new Map(), of = new Map();
  for (const e of entities) {
    const alone = needed.has(e.name) || active.has(e.name) || e.kind === "service";
    const id = alone ? e.name : `${e.kind}|${(e.needs || []).map((need) => need.join(" ")).join("|")}`;
    groups.set(id, [...(groups.get(id) || []), e]);
  }
  for (const [id, members] of groups) {
    for (const part of members.length >= TOGETHER ? [members] : members.map((one) => [one])) {
      const one = part.length === 1 ? part[0] : null;
      const box = { id: one ? one.name : id, members: part, kind: part[0].kind, needs: (part[0].needs || []).map(([, to]) => to), health: part.map((e) => e.health).reduce(worse), runs: one ? active.get(one.name) : null };
      box.name = one ? one.name : `${part.length} ${part[0].kind}s`;
      made.set(box.id, box);
      for (const e of part) of.set(e.name, box.id);
    }
  }
  for (const box of made.values()) box.needs = [...new Set(box.needs.map((name) => of.get(name)).filter((id) => id && id !== box.id))];
  return made;
}

function depths(made) {
  const depth = new Map(), under = new Set();
  const of = (id) => {
    if (depth.has(id)) return depth.get(id);
    // A circle has no top: it is cut where it is entered.
    if (under.has(id)) return 0;
    under.add(id);
    const d = Math.max(-1, ...made.get(id).needs.map(of)) + 1;
    under.delete(id);
    depth.set(id, d);
    return d;
  };
  for (const id of made.keys()) of(id);
  return depth;
}

/// Of a large graph only what is not well, and its neighbours.
function fewer(made) {
  if (made.size <= MOST) return 0;
  const kept = new Set();
  for (const box of made.values()) if (box.health === "bad" || box.health === "noted" || box.runs) { kept.add(box.id); for (const id of box.needs) kept.add(id); }
  const all = made.size;
  for (const id of [...made.keys()]) if (!kept.has(id) || kept.size > MOST && made.get(id).health === "good" && !made.get(id).runs) made.delete(id);
  for (const id of [...made.keys()].slice(MOST)) made.delete(id);
  for (const box of made.values()) box.needs = box.needs.filter((id) => made.has(id));
  return all - made.size;
}

export function topology({ entities, active, width }) {
  if (!entities.length) return [el("p", "soft", "Nothing is known yet: no source has told of anything. jurymast doctor looks why.")];
  const made = boxes(entities, new Map(active)), left = fewer(made), depth = depths(made);
  const across = Math.max(1, Math.floor((width + GAP_X) / (NODE + GAP_X))), side = Math.max(1, Math.floor((NODE - 20) / (DOT + 2)));
  const rows = [];
  for (const box of made.values()) (rows[depth.get(box.id)] ||= []).push(box);
  let y = 4;
  for (const row of rows.filter(Boolean)) {
    const middle = (box) => { const xs = box.needs.map((id) => made.get(id).x).filter((x) => x !== undefined); return xs.length ? xs.reduce((a, b) => a + b) / xs.length : width / 2; };
    row.sort((a, b) => middle(a) - middle(b) || (a.id < b.id ? -1 : 1));
    for (let from = 0; from < row.length; from += across) {
      const line = row.slice(from, from + across), pad = (width - line.length * (NODE + GAP_X) + GAP_X) / 2;
      line.forEach((box, n) => { box.x = pad + n * (NODE + GAP_X); box.y = y; box.high = HIGH + (box.runs ? LINE : 0) + (box.members.length > 1 ? Math.ceil(box.members.length / side) * (DOT + 2) + 4 : 0); });
      y += Math.max(...line.map((box) => box.high)) + (from + across < row.length ? 10 : GAP_Y);
    }
  }
  const all = [...made.values()], ill = (health) => health === "bad" || health === "noted";
  const edges = all.flatMap((box) => box.needs.map((id) => {
    const to = made.get(id), x1 = box.x + NODE / 2, x2 = to.x + NODE / 2, y1 = box.y, y2 = to.y + to.high, bend = (y1 - y2) / 2;
    return svg("path", { class: "edge" + (ill(box.health) && ill(to.health) ? " bad" : ""), d: `M${x1.toFixed(0)} ${y1.toFixed(0)}C${x1.toFixed(0)} ${(y1 - bend).toFixed(0)} ${x2.toFixed(0)} ${(y2 + bend).toFixed(0)} ${x2.toFixed(0)} ${y2.toFixed(0)}` });
  }));
  const bad = entities.filter((e) => e.health === "bad").map((e) => e.name);
  const words = `${entities.length} entities; ${bad.length ? "not well: " + bad.slice(0, 10).join(", ") + (bad.length > 10 ? ` and ${bad.length - 10} more` : "") : "none is ill"}`;
  return [
    svg("svg", { viewBox: `0 0 ${width} ${Math.max(40, y - GAP_Y + 6)}`, role: "img", "aria-label": words }, edges, all.map((box) => node(box, side))),
    el("p", "soft", "What is needed stands above what needs it. ▲ not well, ◆ of note, ● well, ○ never seen, ★ serves now.", left ? ` ${left} boxes that are well are left out.` : ""),
  ];
}

const GLYPH = { bad: "▲", noted: "◆", good: "●", unknown: "○" };
function node(box, side) {
  const told = box.members.length > 1 ? ["bad", "noted", "unknown", "good"].map((h) => [h, box.members.filter((e) => e.health === h).length]).filter(([, n]) => n).map(([h, n]) => `${n} ${h === "noted" ? "of note" : h === "unknown" ? "never seen" : h === "good" ? "well" : "not well"}`).join(", ") : box.kind;
  const first = HIGH + (box.runs ? LINE : 0);
  return svg("g", { class: "node " + box.health, transform: `translate(${box.x.toFixed(0)} ${box.y.toFixed(0)})`, "data-key": box.id },
    svg("title", {}, `${box.name} (${told})${box.members.length === 1 ? "\n" + box.members[0].symptoms.slice(0, 5).join("\n") : ""}`),
    svg("rect", { width: NODE, height: box.high, rx: 5 }), svg("rect", { class: "side", width: 5, height: box.high, rx: 2 }),
    svg("text", { x: 12, y: 16 }, `${GLYPH[box.health]} ${cut(box.name, 19)}`), svg("text", { class: "kind", x: 12, y: 30 }, cut(told, 28)),
    box.runs ? svg("text", { class: "kind", x: 12, y: 30 + LINE }, "★ " + cut(box.runs, 24)) : null,
    box.members.length > 1 ? box.members.slice(0, 400).map((e, n) => svg("rect", { class: "dot " + e.health, x: 12 + (n % side) * (DOT + 2), y: first + Math.floor(n / side) * (DOT + 2), width: DOT, height: DOT, rx: e.health === "bad" ? 0 : 4 }, svg("title", {}, `${e.name}: ${e.health}`))) : null);
}
