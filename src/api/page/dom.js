// Makes nodes, and brings what is shown in line with them: what has the focus keeps it, what is open stays open, what is the same is not touched.
// Everything from outside is set as text, never as markup.

const make = (node, attributes, kids) => {
  for (const [name, value] of Object.entries(typeof attributes === "string" ? { class: attributes } : attributes || {}))
    if (value !== null && value !== undefined && value !== false && value !== "") node.setAttribute(name, value);
  node.append(...kids.flat(9).filter((kid) => kid !== null && kid !== undefined && kid !== false));
  return node;
};
export const $ = (id) => document.getElementById(id);
export const el = (tag, attributes, ...kids) => make(document.createElement(tag), attributes, kids);
export const svg = (tag, attributes, ...kids) => make(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, kids);

const key = (node) => (node.dataset && node.dataset.key) || null;
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);

function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  // Whoever looks opens and closes.
  for (const { name } of [...old.attributes]) if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  bring(old, [...fresh.childNodes]);
}

function bring(parent, kids) {
  const wanted = new Set(kids.map(key)), known = new Map();
  for (const kid of [...parent.childNodes]) if (key(kid)) { if (wanted.has(key(kid))) known.set(key(kid), kid); else kid.remove(); }
  let at = parent.firstChild;
  for (const kid of kids) {
    const same = key(kid) ? known.get(key(kid)) : at;
    if (!same || !alike(same, kid)) { parent.insertBefore(kid, at); continue; }
    if (same === at) at = at.nextSibling; else parent.insertBefore(same, at);
    morph(same, kid);
  }
  while (at) { const next = at.nextSibling; at.remove(); at = next; }
}

const shown = new Map();
/// Shows in the element of that id what `build` makes of `data`; nothing is done while `data` is what it was.
export function show(id, data, build) {
  const text = JSON.stringify(data);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  const focus = document.activeElement;
  bring($(id), [build(data)].flat(9).filter((kid) => kid !== null && kid !== undefined).map((kid) => (kid.nodeType ? kid : document.createTextNode(kid))));
  // A node that was moved loses it.
  if (focus && focus !== document.activeElement && focus.isConnected) focus.focus({ preventScroll: true });
}
export const forget = (id) => shown.delete(id);
export const clock = (at) => (at || "").slice(11, 19);
export const when = (at) => el("time", { datetime: at, title: at }, clock(at));
export const ago = (at, now) => {
  const s = Math.max(0, Math.round((Date.parse(now) - Date.parse(at)) / 1000));
  return s < 120 ? `${s} s` : s < 7200 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
};
