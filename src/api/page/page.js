"use strict";
// Draws the picture of the engine, again each second. Everything from outside is set as text, never as markup.
const $ = (id) => document.getElementById(id);
const el = (tag, cls, ...kids) => {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  for (const kid of kids) if (kid !== null && kid !== undefined) node.append(kid);
  return node;
};
const clock = (at) => (at || "").slice(11, 23);
let token = "";
async function act(path, body) {
  if (!token) token = prompt("Token for acting (api.token_file)") || "";
  if (!token) return;
  const answer = await fetch(path, { method: "POST", headers: { Authorization: "Bearer " + token, "X-Jurymast-By": "page" }, body: JSON.stringify(body || {}) });
  if (!answer.ok) { if (answer.status === 401 || answer.status === 403) token = ""; alert(await answer.text()); }
  draw();
}
const button = (label, run) => { const b = el("button", "", label); b.addEventListener("click", run); return b; };

function services(s) {
  $("services").replaceChildren(...(s.services.length ? s.services.map((v) => {
    const bad = s.entities.find((e) => e.name === v.state.active && e.health === "bad");
    const moved = v.state.active !== v.home;
    const card = el("div", "card " + (v.state.running || moved ? "noted" : bad ? "bad" : "good"),
      el("div", "row", el("h3", "", v.name), el("span", "soft", v.state.running ? "plan " + v.state.running : "")),
      el("p", "", "runs on ", el("strong", "", v.state.active), moved ? ` (home is ${v.home})` : ""),
      el("p", "soft", "could run on " + v.standbys.join(", ")));
    if (v.state.handed_over) card.append(el("p", "", "needs a person: " + v.state.handed_over));
    const drills = s.drills.latest.filter((d) => d.service === v.name), warned = s.drills.warnings[v.name];
    for (const d of drills) card.append(el("p", "soft", `${d.kind} drill ${d.ended ? (d.problems.length ? "FAILED " : "good ") + d.ended.slice(0, 16).replace("T", " ") : "under way"}${d.problems.length ? ": " + d.problems.join("; ") : ""}`));
    if (warned) card.append(el("p", "", "drill: " + warned));
    if (moved && !v.state.running) card.append(button("send back to " + v.home, () => act(`/api/services/${encodeURIComponent(v.name)}/failback`)));
    return card;
  }) : [el("p", "soft", "no service is configured: Jurymast only watches")]));
}
function plans(s) {
  $("plans-section").hidden = !s.plans.length;
  $("plans").replaceChildren(...s.plans.map((p) => {
    const done = new Set(s.recent.filter((r) => r.record === "plan_event" && r.plan_event.plan === p.id && r.plan_event.plan_event === "step_done").map((r) => r.plan_event.step));
    return el("div", "card noted", el("div", "row", el("h3", "", p.summary), button("abort", () => act(`/api/plans/${encodeURIComponent(p.id)}/abort`))),
      el("ul", "", ...p.steps.map((step) => el("li", "", `${done.has(step.index) ? "✓" : "…"} ${step.phase}: ${step.name}`))));
  }));
}
function incidents(s) {
  const open = s.incidents.filter((i) => !i.closed && !i.merged_into).reverse();
  const closed = s.incidents.filter((i) => i.closed).reverse().slice(0, 10);
  const card = (i) => {
    const top = i.hypotheses[0];
    const bars = i.hypotheses.slice(0, 4).map((h) => {
      const fill = el("i"); fill.style.width = (h.probability * 100).toFixed(0) + "%";
      return el("div", "bar", el("span", "", `${h.fault} at ${h.entity}`), el("div", "", fill), el("span", "", h.probability.toFixed(2)));
    });
    const verdicts = s.verdicts.filter((v) => v.incident === i.id).map((v) => {
      const line = el("p", "", el("span", "tag " + v.decision, v.decision), " ", v.service ? v.service + ": " : "",
        v.refusal ? `${v.refusal.gate}: ${v.refusal.reason}` : v.plan ? "plan " + v.plan : "");
      if (v.decision === "ask") line.append(" ", button("approve", () => act(`/api/incidents/${i.id}/approve`, v.service ? { service: v.service } : {})), " ", button("deny", () => act(`/api/incidents/${i.id}/deny`, v.service ? { service: v.service } : {})));
      const cost = costs(v);
      if (cost) line.append(cost);
      return line;
    });
    const told = (s.explanations.find(([id]) => id === i.id) || [0, null])[1];
    const more = told ? el("details", "", el("summary", "", `evidence: ${told.seen.length} symptoms`),
      el("div", "charts", ...(charts.get(i.id) || []).map(chart)),
      el("ul", "", ...told.seen.slice(0, 40).map((line) => el("li", "", line))),
      ...(told.links.length ? [el("p", "", "began together"), el("ul", "", ...told.links.map((line) => el("li", "", line)))] : []),
      ...told.causes.slice(0, 3).map((c) => el("div", "", el("p", "", c.headline), el("ul", "", ...c.speaks_for.map((t) => el("li", "", "+ " + t)), ...c.speaks_against.slice(0, 8).map((t) => el("li", "soft", "− " + t)), ...(c.paths || []).map((t) => el("li", "soft", t))))),
      ...details(told), top ? button("this was it", () => act(`/api/incidents/${i.id}/confirm`)) : null) : null;
    if (more && openDetails.has(i.id)) more.open = true;
    if (more) more.addEventListener("toggle", () => {
      if (!more.open) { openDetails.delete(i.id); charts.delete(i.id); return; }
      if (!openDetails.has(i.id)) { openDetails.add(i.id); draw(); }
    });
    return el("div", "card " + (i.closed ? "" : "bad"), el("div", "row", el("h3", "", `#${i.id} ${top ? top.fault + " at " + top.entity : ""}`),
      el("span", "soft", `since ${clock(i.onset)}${i.closed ? ", closed " + clock(i.closed) : ""}`)), ...(i.closed ? [] : bars), ...verdicts, more);
  };
  $("incidents").replaceChildren(...(open.length ? open.map(card) : [el("p", "soft", "none open")]),
    ...(closed.length ? [el("details", "", el("summary", "", `${closed.length} closed lately`), ...closed.map(card))] : []));
}
// What would be thought without a part of the evidence, and what would settle it.
function details(told) {
  const list = (title, lines) => lines && lines.length ? [el("p", "", title), el("ul", "", ...lines.map((t) => el("li", "", t)))] : [];
  return [...list("Without a part of it", (told.without || []).map((w) => w.text)),
    ...list("What would settle it", (told.settle || []).map((o) => o.text + " " + o.outcomes.map((x) => x.text).join("; ")))];
}
const costs = (v) => v.costs && v.costs.length ? el("span", "soft", " · expected costs: " + v.costs.map((c) => `${c.remedy} ${c.cost.toFixed(1)}`).join(", ")) : null;
const openDetails = new Set();
function ahead(s) {
  const c = s.coverage;
  $("ahead-section").hidden = !c || !c.failures;
  if (!c) return;
  $("ahead").replaceChildren(el("p", "", `${c.covered} of ${c.failures} single failures are covered by a plan`),
    ...(s.uncovered.length ? [el("ul", "", ...s.uncovered.slice(0, 40).map((u) => el("li", "", el("strong", "", u.failure), ` (${u.kind}): ${u.why}`)))] : []));
}
// Signals of the incidents whose evidence is open.
const charts = new Map();
async function look() {
  await Promise.all([...openDetails].map(async (id) => {
    const answer = await fetch(`/api/incidents/${id}`);
    if (answer.ok) charts.set(id, (await answer.json()).charts || []); else { charts.delete(id); openDetails.delete(id); }
  }));
}
const svg = (tag, attributes) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
};
const short = (value) => Number(value.toPrecision(5)).toString();
function chart(c) {
  const wide = 320, high = 72, left = 2, times = c.points.map((p) => Date.parse(p.at)), values = c.points.map((p) => p.value);
  const onset = Date.parse(c.onset), from = times[0] ?? onset, to = Math.max(times[times.length - 1] ?? onset, from + 1);
  const band = c.band || [], all = values.concat(band.filter(() => values.length));
  const least = Math.min(...all), most = Math.max(...all), reach = most - least || 1;
  const x = (t) => left + (t - from) / (to - from) * (wide - 2 * left), y = (v) => high - 4 - (v - least) / reach * (high - 8);
  const strongest = Math.max(0, ...c.points.map((p) => p.surprise));
  const told = c.bar && strongest ? `surprise up to ${strongest.toFixed(1)}, told from ${c.bar.toFixed(1)} on` : "";
  const words = `${c.entity} ${c.signal}: ${short(Math.min(...values))} to ${short(Math.max(...values))}${c.rate ? " a second" : ""}` + (band.length ? `, usual is ${short(band[0])} to ${short(band[1])}` : "");
  const image = svg("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": `${words}. ${told} Began ${clock(c.onset)}.` });
  if (band.length) image.append(svg("rect", { class: "band", x: 0, width: wide, y: y(band[1]), height: Math.max(1, y(band[0]) - y(band[1])) }));
  if (onset >= from && onset <= to) image.append(svg("line", { class: "onset", x1: x(onset), x2: x(onset), y1: 0, y2: high }));
  image.append(svg("polyline", { class: "value", points: c.points.map((p, n) => `${x(times[n]).toFixed(1)},${y(p.value).toFixed(1)}`).join(" ") }));
  c.points.forEach((p, n) => { if (c.bar && p.surprise >= c.bar) image.append(svg("circle", { class: "strange", cx: x(times[n]), cy: y(p.value), r: 2.5 })); });
  return el("figure", "chart", image, el("figcaption", "soft", el("strong", "", `${c.entity} ${c.signal}`), ` ${words.slice(words.indexOf(":") + 2)}; began ${clock(c.onset)}${told ? "; " + told : ""}`));
}
function entities(s) {
  const kinds = [...new Set(s.entities.map((e) => e.kind))];
  $("entities").replaceChildren(...kinds.map((kind) => {
    const of = s.entities.filter((e) => e.kind === kind);
    return el("div", "chips", el("h3", "", `${kind} (${of.length})`), ...of.map((e) => {
      const chip = el("span", "chip " + e.health, e.name);
      chip.title = e.symptoms.join("\n") || e.health;
      chip.setAttribute("aria-label", `${e.name}: ${e.health}`);
      return chip;
    }));
  }));
}
function line(r) {
  switch (r.record) {
    case "finding": { const f = r.finding; return f.symptom === "raised" ? `${f.entity}: ${f.kind} ${f.signal} — ${f.evidence.text}` : `${f.key.entity}: ${f.key.kind} ${f.key.signal} is over`; }
    case "incident": { const i = r.incident, t = i.hypotheses[0]; return i.closed ? `incident ${i.id} closed` : `incident ${i.id}: ${t ? `${t.fault} at ${t.entity} (${t.probability.toFixed(2)})` : ""}`; }
    case "verdict": { const v = r.verdict; return `verdict ${v.decision}${v.service ? " on " + v.service : ""}${v.refusal ? " — " + v.refusal.gate + ": " + v.refusal.reason : ""}`; }
    case "plan": return r.plan.summary;
    case "permit": return `step ${r.permit.step} of ${r.permit.plan}: ${r.permit.refusal ? "refused by " + r.permit.refusal.gate : "allowed"}`;
    case "plan_event": return `${r.plan_event.plan || r.plan_event.service}: ${r.plan_event.plan_event} ${r.plan_event.step ?? ""} ${r.plan_event.outcome ? JSON.stringify(r.plan_event.outcome) : ""}`;
    case "confirmed": return `incident ${r.incident} was ${r.testimony.fault} at ${r.testimony.entity}, says ${r.by}`;
    case "drill": return `${r.drill.kind} drill of ${r.drill.service} ${r.drill.ended ? (r.drill.problems.length ? "failed: " + r.drill.problems.join("; ") : "was good") : "under way, plan " + (r.drill.legs.length ? r.drill.legs[r.drill.legs.length - 1].plan : "")}`;
    case "drill_refused": return `drill of ${r.refused.service} refused: ${r.refused.reason}`;
    case "operator": return `operator: ${r.operator.command} ${r.operator.by || ""}`;
  }
  return r.record;
}
async function draw() {
  let s;
  try { s = await (await fetch("/api/status")).json(); } catch { $("state").textContent = "no answer from the agent"; document.title = "? Jurymast"; return; }
  const open = s.incidents.filter((i) => !i.closed && !i.merged_into).length;
  const stale = Date.now() - Date.parse(s.now) > 5000;
  $("state").textContent = stale ? "the engine stands still" : s.held ? "on hold" : s.plans.length ? "moving" : open ? `${open} open` : "all well";
  document.title = (open ? `(${open}) ` : "") + "Jurymast";
  const lead = s.cannot_lead ? "cannot lead: " + s.cannot_lead : s.leases.some((l) => l.lease.epoch) ? s.leases.filter((l) => l.lease.epoch).map((l) => `leads ${l.part}, epoch ${l.lease.epoch}`).join(", ") : s.lease.epoch ? "epoch " + s.lease.epoch : s.leases.length ? "another agent leads" : "no lease";
  const learned = `${s.learned.watched} watched${s.learned.learning ? `, ${s.learned.learning} being learned` : ""}${s.learned.beyond ? `, ${s.learned.beyond} beyond the closely watched` : ""}`;
  $("facts").textContent = `${s.agent} · ${s.acting ? lead : "only watching"} · ${s.entities.length} entities · ${s.series} series, ${learned} · ${clock(s.now)}`;
  try { await look(); } catch { charts.clear(); }
  services(s); plans(s); incidents(s); ahead(s); entities(s);
  $("log").replaceChildren(...s.recent.slice(-60).reverse().map((r) => el("li", "", el("time", "", clock(r.at || (r.verdict && r.verdict.at) || (r.refused && r.refused.at))), line(r))));
}
draw();
setInterval(draw, 1000);
