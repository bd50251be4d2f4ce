// Asks for the picture of the engine each second and shows it: first what needs a person, then what moves, then why.
import { $, el, svg, show, forget, clock, when, ago } from "./dom.js";
import { chart } from "./charts.js";
import { topology } from "./topology.js";
import { listen, order } from "./orders.js";

const CARDS = 8, LINES = 200, CLOSED = 20, CHIPS = 24, FOUND = 200;
const open = (i) => !i.closed && !i.merged_into;
const soft = (...kids) => el("p", "soft", ...kids);
const list = (title, lines, cls) => (lines && lines.length ? [title && el("h4", "", title), el("ul", "", lines.map((line) => el("li", cls || "", line)))] : []);
const cause = (i) => { const top = i.hypotheses[0]; return top ? `${top.fault} at ${top.entity}` : "not yet explained"; };
const denied = (v) => v.refusal && v.refusal.gate === "denied";
const until = (at, now) => at && Date.parse(at) > Date.parse(now);

// -- what needs a person
function needs(s) {
  const by = (v) => s.services.find((view) => view.name === v.service);
  const asks = s.verdicts.filter((v) => v.decision === "ask" || (v.answer_by && denied(v))).map((v) => {
    const view = by(v), incident = s.incidents.find((i) => i.id === v.incident);
    return { kind: "ask", id: v.incident, service: v.service, from: view && view.state.active, why: v.refusal ? `${v.refusal.gate}: ${v.refusal.reason}` : "", cause: incident ? cause(incident) : "", p: v.probability, left: !v.answer_by ? "" : until(v.answer_by, s.now) ? `${ago(s.now, v.answer_by)} left to answer` : "nobody has answered in time" };
  });
  const left = s.services.filter((v) => v.state.handed_over).map((v) => ({ kind: "left", service: v.name, why: v.state.handed_over }));
  const undone = s.services.filter((v) => v.state.undone).map((v) => ({ service: v.name, step: v.state.undone.step, why: v.state.undone_why, active: v.state.active }));
  return { acting: s.acting, asks, left, undone, trouble: s.cannot_lead, aside: Object.entries(s.standing_aside), untold: s.not_told };
}
const you = ({ acting, asks, left, undone, trouble, aside, untold }) => [
  asks.map((a) => el("div", { class: "card noted", "data-key": `ask ${a.id} ${a.service}` },
    el("h3", "", `Move ${a.service || "it"}? Incident ${a.id}: ${a.cause} (${a.p.toFixed(2)})`), el("p", "", a.why), a.left ? el("p", "", a.left) : null,
    acting ? el("p", "", order("approve", "yes, move it…", { id: a.id, service: a.service, from: a.from }, true), " ", order("deny", "no, leave it…", { id: a.id, service: a.service })) : null)),
  left.map((l) => el("div", { class: "card bad", "data-key": `left ${l.service}` }, el("h3", "", `${l.service} needs a person`), el("p", "", l.why))),
  undone.map((u) => el("div", { class: "card bad", "data-key": `undone ${u.service}` }, el("h3", "", `${u.service}: what was done has changed`), el("p", "", `‘${u.step}’ does not stand any more, though ${u.service} runs on ${u.active}: ${u.why || "was something restarted, or changed by hand?"}`))),
  trouble ? el("div", { class: "card bad", "data-key": "trouble" }, el("h3", "", "This agent cannot lead"), el("p", "", trouble)) : null,
  aside.map(([part, why]) => el("div", { class: "card noted", "data-key": `aside ${part}` }, el("h3", "", `This agent stands aside from ${part}`), el("p", "", why))),
  untold.map((u) => el("div", { class: "card noted", "data-key": `untold ${u.receiver}` }, el("h3", "", `${u.receiver} hears nothing`), el("p", "", `It has taken no notification since ${clock(u.since)} UTC: ${u.why}`))),
];

// -- services
const serving = (s) => ({ acting: s.acting, minute: s.now.slice(0, 16), services: s.services.map((v) => ({ ...v, health: (s.entities.find((e) => e.name === v.state.active) || {}).health, maintained: until(v.state.maintenance_until, s.now), silenced: until(v.state.silenced_until, s.now) })) });
const services = ({ acting, services }) => services.length ? el("div", "wide", services.map((v) => {
  const moved = v.state.active !== v.home, running = v.state.running;
  const health = v.state.handed_over || v.health === "bad" ? "bad" : running || moved || v.maintained ? "noted" : v.health === "good" ? "good" : "";
  const buttons = acting ? [
    moved && !running ? order("failback", `send back to ${v.home}…`, { service: v.name, from: v.state.active, to: v.home }) : null, " ",
    v.maintained ? order("maintained", "end maintenance…", { service: v.name }) : order("maintain", "maintenance…", { service: v.name })] : [];
  return el("div", { class: "card " + health, "data-key": v.name },
    el("div", "row", el("h3", "", v.name), el("span", "soft", running ? "being moved" : v.health === "bad" ? "its instance is not well" : v.health === "good" ? "well" : v.health === "noted" ? "of note" : "not seen yet")),
    el("p", "", "runs on ", el("strong", "", v.state.active), moved ? ` (home is ${v.home})` : ""),
    el("p", "soft", v.standbys.length ? "could run on " + v.standbys.join(", ") : "has nowhere else to run"),
    v.maintained ? el("p", "", `in maintenance until ${clock(v.state.maintenance_until)}: not moved`) : null,
    v.silenced ? el("p", "", `silenced in Alertmanager until ${clock(v.state.silenced_until)}: not moved`) : null,
    el("p", "", ...buttons));
})) : soft("No service is configured: Jurymast only watches. ", el("code", "", "services:"), " in the config names what may be moved.");

// -- moves
const MARK = { waiting: "·", started: "▶", done: "✓", failed: "✗", refused: "✗" };
const ended = (o) => (o.outcome === "left" ? "left to another agent, which leads now and tells how it ends" : o.outcome === "done" ? `done: it runs on ${o.active}, verified` : o.outcome === "compensated" ? `taken back: ${o.reason}` : o.outcome === "untouched" ? `given up before anything was done: ${o.reason}` : `needs a person: ${o.reason}`);
function move(m, acting) {
  const steps = el("ol", "steps", m.steps.map((step) => el("li", step.state, el("span", { role: "img", "aria-label": step.state }, MARK[step.state]), el("span", "", step.phase), el("span", "", step.name, step.at ? [" ", when(step.at)] : "", step.why ? `: ${step.why}` : ""))));
  const good = m.outcome && ["done", "left"].includes(m.outcome.outcome);
  return el("div", { class: "card " + (m.outcome ? (good ? "good" : "bad") : "noted"), "data-key": m.id },
    el("div", "row", el("h3", "", m.summary), m.outcome ? el("span", "soft", `began ${clock(m.begun)}, over ${clock(m.ended)}`) : acting ? order("abort", "stop…", { id: m.id, summary: m.summary }) : null),
    m.outcome ? el("p", "", el("strong", good ? "done" : "failed", ended(m.outcome))) : soft(`began ${clock(m.begun)}, given up at ${clock(m.deadline)}`),
    m.outcome ? el("details", "", el("summary", "", "its steps"), steps) : steps);
}
function moves({ moves, acting }) {
  const running = moves.filter((m) => !m.outcome), over = moves.filter((m) => m.outcome).reverse();
  return [...running, ...over.slice(0, 1)].map((m) => move(m, acting)).concat(over.length > 1 ? [el("details", { "data-key": "older" }, el("summary", "", `${over.length - 1} earlier`), over.slice(1).map((m) => move(m, acting)))] : []);
}

// -- incidents
const opened = new Set(), charts = new Map(), welcomed = new Set();
// A person reads milliseconds at most.
const tidy = (text) => text.replace(/\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\.(\d{3})\d*Z/g, "$1.$2");
const bar = (h) => el("div", "bar", el("span", "", `${h.fault} at ${h.entity}`),
  svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: (h.probability * 100).toFixed(1), height: 10 })), el("span", "", h.probability.toFixed(2)));
function verdict(v, acting) {
  const up = v.decision === "ask" || denied(v);
  return el("p", { "data-key": `${v.service}` }, el("span", "tag " + v.decision, v.decision), " ", v.service ? `${v.service}: ` : "", v.refusal ? `${v.refusal.gate}: ${v.refusal.reason}` : v.plan ? `plan ${v.plan}` : "",
    v.costs && v.costs.length ? el("span", "soft", " · expected costs: " + v.costs.map((c) => `${c.remedy} ${c.cost.toFixed(1)}`).join(", ")) : null,
    up && acting ? [" ", order("approve", "yes, move it…", { id: v.incident, service: v.service })] : null);
}
function evidence(i, told, pictures) {
  if (!told) return null;
  return el("details", { "data-evidence": i.id, "data-key": "evidence", open: opened.has(i.id) ? "open" : null }, el("summary", "", `why: ${told.seen.length} symptoms`),
    el("div", "charts", pictures.map(chart)), list("Seen", told.seen.slice(0, 40).map(tidy)), told.seen.length > 40 ? soft(`and ${told.seen.length - 40} more`) : null, list("Began together", told.links),
    told.causes.slice(0, 3).map((c) => [el("h4", "", c.headline), el("ul", "", c.speaks_for.map((t) => el("li", "", "+ " + t)), c.speaks_against.slice(0, 8).map((t) => el("li", "soft", "− " + t)), (c.paths || []).map((t) => el("li", "soft", t)))]),
    list("Statistical ranking, for no pattern explains this well; nothing is moved for it", (told.statistical ? told.statistical.suspects : []).map((x) => `${x.probability.toFixed(2)} ${x.entity}${x.kind ? ` (${x.kind})` : ""}: ${x.why.join("; ")}`)),
    list("Without a part of it", (told.without || []).map((w) => w.text)), list("What would settle it", (told.settle || []).map((o) => `${o.text} ${o.outcomes.map((x) => x.text).join("; ")}`)));
}
function card({ i, verdicts, told, pictures }, acting, now) {
  const top = i.hypotheses[0];
  return el("article", { class: "card " + (i.closed ? "" : "bad"), "data-key": i.id, "aria-label": `incident ${i.id}` },
    el("div", "row", el("h3", "", `#${i.id} ${cause(i)}`), el("span", "soft", "began ", when(i.onset), i.closed ? [", closed ", when(i.closed)] : `, ${ago(i.onset, now)} ago`)),
    i.closed ? null : i.hypotheses.slice(0, 4).map(bar), verdicts.map((v) => verdict(v, acting)), evidence(i, told, pictures),
    acting && top && !["something-else", "one-by-one"].includes(top.fault) ? el("p", "", order("confirm", "this was it…", { id: i.id, cause: cause(i) })) : null);
}
function happening(s) {
  const told = new Map(s.explanations), rank = { ask: 3, act: 2, hold: 1, ignore: 0 };
  const of = (i) => ({ i: { id: i.id, onset: i.onset, closed: i.closed, hypotheses: i.hypotheses.slice(0, 4).map((h) => ({ ...h, explains: 0, evidence_for: 0, evidence_against: 0 })) }, verdicts: s.verdicts.filter((v) => v.incident === i.id), told: told.get(i.id), pictures: charts.get(i.id) || [] });
  const weight = (x) => Math.max(0, ...x.verdicts.map((v) => rank[v.decision]));
  const now = s.incidents.filter(open).map(of).sort((a, b) => weight(b) - weight(a) || b.i.id - a.i.id);
  const over = s.incidents.filter((i) => i.closed && !i.merged_into).sort((a, b) => b.id - a.id);
  // The first one is shown with its reasons; whoever closes them is not asked again.
  if (now.length && !welcomed.size) { welcomed.add(now[0].i.id); opened.add(now[0].i.id); }
  return { acting: s.acting, now: s.now.slice(0, 18), open: now.slice(0, CARDS), more: now.slice(CARDS).map(({ i, verdicts }) => ({ id: i.id, onset: i.onset, text: cause(i), p: i.hypotheses[0] ? i.hypotheses[0].probability : null, verdicts: verdicts.map((v) => `${v.decision}${v.service ? " on " + v.service : ""}`) })), over: over.slice(0, CLOSED).map(of), older: over.slice(CLOSED).length };
}
const incidents = ({ acting, now, open, more, over, older }) => [
  open.length ? open.map((x) => card(x, acting, now + "0Z")) : soft("None is open."), more.length ? el("details", { "data-key": "more" }, el("summary", "", `${more.length} more that are open`),
    el("ul", "", more.slice(0, LINES).map((m) => el("li", { "data-key": m.id }, `#${m.id} `, when(m.onset), ` ${m.text}${m.p === null ? "" : ` (${m.p.toFixed(2)})`}${m.verdicts.length ? ": " + m.verdicts.join(", ") : ""}`)))) : null,
  over.length ? el("details", { "data-key": "closed" }, el("summary", "", `${over.length + older} closed lately`), over.map((x) => card(x, acting, now + "0Z")), older ? soft(`and ${older} older ones`) : null) : null];
async function look() {
  await Promise.all([...opened].map(async (id) => {
    const answer = await fetch(`/api/incidents/${id}`);
    if (answer.ok) charts.set(id, (await answer.json()).charts || []); else { charts.delete(id); opened.delete(id); }
  }));
}

// -- what there is
const chip = (e) => el("span", { class: "chip " + e.health, title: e.symptoms.slice(0, 8).join("\n"), "data-key": e.name }, e.name, e.health === "good" ? el("span", "unseen", " well") : el("small", "", " " + { bad: "not well", noted: "of note", unknown: "never seen" }[e.health]));
function entities({ entities, total, wanted }) {
  if (!total) return soft("Nothing is known yet.");
  if (wanted) {
    const found = entities.filter((e) => e.name.toLowerCase().includes(wanted));
    return [el("div", "chips", found.slice(0, FOUND).map(chip)), soft(found.length > FOUND ? `${found.length} match, ${FOUND} are shown` : `${found.length} match`)];
  }
  const kinds = [...new Set(entities.map((e) => e.kind))];
  return [total > entities.length ? soft(`Of ${total} only what is not well is listed.`) : null, kinds.map((kind) => {
    const of = entities.filter((e) => e.kind === kind), few = of.length <= CHIPS, ill = of.filter((e) => few || e.health === "bad" || e.health === "noted"), rest = of.filter((e) => !ill.includes(e));
    return el("div", { class: "chips", "data-key": kind }, el("h3", "", `${kind} (${of.length})`), ill.map(chip),
      rest.length ? el("details", { "data-key": "rest" }, el("summary", "", `${rest.length} ${ill.length ? "others" : ""} without a symptom`), el("div", "chips", rest.map(chip))) : null);
  })];
}
// -- what if
const ahead = ({ coverage: c, uncovered }) => [el("p", "", `${c.covered} of ${c.failures} single failures are covered by a plan.`),
  uncovered.length ? el("details", { "data-key": "not" }, el("summary", "", `${uncovered.length} are not`), el("ul", "", uncovered.slice(0, 100).map((u) => el("li", "", el("strong", "", u.failure), ` (${u.kind}): ${u.why}`)))) : null];
const went = (d) => (d.ended ? (d.problems.length ? `failed: ${d.problems.join("; ")}` : "good") : "under way");
const drill = ({ drill: d, made, acting }) => [
  made ? list("", [...Object.values(made.warnings), ...Object.values(made.waiting || {})], "failed") : null,
  made ? list("", made.latest.map((m) => [`${m.service}, ${m.kind}: ${went(m)}, `, when(m.ended || m.begun), ` by ${m.by}`])) : null,
  d ? [el("p", "", el("strong", d.good ? "done" : "failed", d.good ? "Every move would find what it needs." : `${d.checks.filter((c) => c.result === "bad").length} of ${d.checks.length} looks found something bad.`), ` Looked at ${clock(d.at)} by ${d.by}.`),
    el("details", { "data-key": "looks" }, el("summary", "", `${d.checks.length} looks`), el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "looks" }, el("table", "", el("thead", "", el("tr", "", ["service", "looked at", "found"].map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", "", d.checks.map((c) => el("tr", "", el("td", "", c.service), el("td", "", c.name), el("td", c.result === "bad" ? "failed" : c.result === "good" ? "done" : "soft", c.result === "good" ? "good" : c.result === "bad" ? "BAD: " + c.why : "not seen: " + c.why)))))))]
    : soft("Nobody has looked since the agent started."),
  acting ? el("p", "", order("drill", "look now…")) : null];

// -- what was done
function done(r) {
  switch (r.record) {
    case "epoch": return `this agent took over, epoch ${r.epoch}`;
    case "word": return said(r.word);
    case "left": return `plan ${r.plan} is another agent's now`;
    case "plan": switch (r.entry) {
      case "plan": return `plan ${r.plan.id}: ${r.plan.summary}`;
      case "intent": return `${r.plan}: about to do step ${r.step}`;
      case "done": return `${r.plan}: step ${r.step} is done`;
      case "taking_back": return `${r.plan}: taking back: ${r.reason}`;
      case "undo_intent": return `${r.plan}: about to take back step ${r.step}`;
      case "undone": return `${r.plan}: step ${r.step} was taken back`;
      case "candidate": return `${r.plan}: goes on with another target`;
      case "end": return `${r.plan}: ${ended(r.outcome)}`;
    }
  }
  return r.record;
}
const said = (w) => `${w.by || "?"}: ${w.command}${w.command === "hold" ? (w.on ? " on" : " off") : ""}${w.service ? " " + w.service : ""}${w.incident ? " incident " + w.incident : ""}${w.plan ? " " + w.plan : ""}${w.to ? " to " + w.to : ""}`;
const AUDITED = 2000;
const dated = (at) => el("time", { datetime: at, title: at }, `${(at || "").slice(0, 10)} ${clock(at)}`);
const audit = (a) => a.why ? soft(a.why) : [
  el("p", "", a.chain.whole ? `${a.chain.records} records, the chain of hashes is whole. The last one: ` : el("strong", "failed", "The log was changed: " + a.chain.why), a.chain.whole ? el("code", "", a.chain.last.slice(0, 16) + "…") : null),
  el("ul", "", a.records.slice().reverse().map(({ place, written, record }) => el("li", { "data-key": place }, dated(written), " ", done(record)))),
  a.before ? el("p", "", a.records.length < AUDITED ? el("button", { type: "button", id: "audit-older", "data-key": "older" }, "earlier ones") : soft(`Earlier ones: /api/audit?before=${a.before}`)) : null];
// The latest page is asked for again and again; those before it once, and they stay as long as it joins them.
let audited = [], earlier = null;
async function askAudit(older) {
  if (!$("audit-more").open) return;
  try {
    const answer = await fetch("/api/audit" + (older ? `?before=${encodeURIComponent(earlier)}` : ""));
    if (!answer.ok) return show("audit", { why: await answer.text() }, audit);
    const { chain, records, before } = await answer.json();
    const joins = older ? -1 : audited.findIndex((one) => records.length && one.place === records[0].place);
    if (older) { audited = records.concat(audited); earlier = before; }
    else if (joins < 0) { audited = records; earlier = before; }
    else audited = audited.slice(0, joins).concat(records);
    if (!older && audited.length > AUDITED + records.length) { audited = records; earlier = before; }
    show("audit", { chain, records: audited, before: earlier }, audit);
  } catch { /* the page says already that nobody answers */ }
}
let drilled = null;
async function askDrill() { try { drilled = await (await fetch("/api/drills/dry")).json(); } catch { /* as above */ } }

// -- lately
function line(r) {
  switch (r.record) {
    case "finding": { const f = r.finding; return f.symptom === "raised" ? `${f.entity}: ${f.kind} ${f.signal} — ${f.evidence.text}` : `${f.key.entity}: ${f.key.kind} ${f.key.signal} is over`; }
    case "incident": { const i = r.incident; return i.merged_into ? `incident ${i.id} is part of ${i.merged_into}` : i.closed ? `incident ${i.id} closed` : `incident ${i.id}: ${cause(i)}${i.hypotheses[0] ? ` (${i.hypotheses[0].probability.toFixed(2)})` : ""}`; }
    case "verdict": { const v = r.verdict; return `verdict ${v.decision}${v.service ? " on " + v.service : ""}${v.refusal ? ` — ${v.refusal.gate}: ${v.refusal.reason}` : ""}`; }
    case "plan": return r.plan.summary;
    case "permit": return `step ${r.permit.step} of ${r.permit.plan}: ${r.permit.refusal ? "refused by " + r.permit.refusal.gate : "allowed"}`;
    case "plan_event": { const e = r.plan_event, name = e.plan || e.service; return e.outcome ? `${name}: ${ended(e.outcome)}` : e.plan_event === "restored" ? `${name} runs on ${e.active}, says the journal` : `${name}: step ${e.step} ${{ asks: "is about to start", step_done: "is done", step_failed: "failed: " + e.error }[e.plan_event] || e.plan_event}`; }
    case "left": return `${r.plan}: ${ended({ outcome: "left" })}`;
    case "confirmed": return `incident ${r.incident} was ${r.testimony.fault} at ${r.testimony.entity}, says ${r.by}`;
    case "drill": return `${r.drill.kind} drill of ${r.drill.service}: ${went(r.drill)}`;
    case "drill_refused": return `drill of ${r.refused.service} refused: ${r.refused.reason}`;
    case "operator": return said(r.operator);
  }
  return r.record;
}
const log = (recent) => recent.length ? recent.slice(-60).reverse().map((r) => { const at = r.at || (r.verdict && r.verdict.at) || (r.refused && r.refused.at); return el("li", "", when(at), el("span", "", line(r))); }) : el("li", "soft", "nothing yet");

// -- the head, and what is read aloud
let heard = null;
function news(s) {
  const told = new Map();
  for (const i of s.incidents.filter(open)) if (i.hypotheses[0]) told.set(`i${i.id} ${cause(i)}`, `Incident ${i.id}: ${cause(i)}.`);
  for (const v of s.verdicts) if (v.decision === "ask") told.set(`v${v.incident} ${v.service}`, `Incident ${v.incident} asks whether to move ${v.service}.`);
  for (const m of s.moves) told.set(`m${m.id} ${!!m.outcome}`, m.outcome ? `${m.service}: ${ended(m.outcome)}.` : `${m.summary}.`);
  const fresh = heard ? [...told].filter(([key]) => !heard.has(key)).map(([, text]) => text) : [];
  heard = new Set(told.keys());
  if (fresh.length) $("news").textContent = fresh.slice(0, 5).join(" ");
}
function head(s) {
  const count = s.incidents.filter(open).length, asks = s.verdicts.filter((v) => v.decision === "ask").length, moving = s.plans.length;
  const [text, cls] = s.journal_trouble ? ["nothing can be moved", "bad"] : s.held ? ["on hold: nothing is moved", "noted"] : asks ? [`${asks} ${asks > 1 ? "wait" : "waits"} for you`, "noted"] : moving ? ["moving", "noted"] : count ? [`${count} open`, "bad"] : !s.entities_total ? ["sees nothing yet", "noted"] : ["all well", "good"];
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").className = cls;
  document.title = (count ? `(${count}) ` : "") + "Jurymast";
  const leaders = [...new Set(s.services.map((v) => v.leader).filter(Boolean))];
  const lead = s.cannot_lead ? "cannot lead" : s.leases.some((l) => l.lease.epoch) ? s.leases.filter((l) => l.lease.epoch).map((l) => `leads ${l.part}, epoch ${l.lease.epoch}`).join(", ") : s.lease.epoch ? `acts, epoch ${s.lease.epoch}` : leaders.length ? `led by ${leaders.join(", ")}` : s.leases.length ? "another agent leads" : "no lease yet";
  const learned = `${s.learned.watched} watched${s.learned.learning ? `, ${s.learned.learning} being learned` : ""}${s.learned.beyond ? `, ${s.learned.beyond} beyond the closely watched` : ""}`;
  $("facts").textContent = `${s.agent} · ${s.acting ? lead : "only watches"} · ${s.entities_total} entities · ${s.series} series, ${learned} · ${clock(s.now)} UTC`;
  show("orders", { held: s.held, acting: s.acting }, ({ held, acting }) => acting ? (held ? order("release", "release the hold…", {}, true) : order("hold", "hold everything…")) : []);
}
function alerted(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
  $(id).hidden = !text;
}
function gone(text) {
  document.body.classList.toggle("gone", !!text);
  alerted("gone", text);
}

let last = null, turn = 0;
async function draw() {
  let s;
  try {
    const answer = await fetch("/api/status", { cache: "no-store", signal: AbortSignal.timeout(8000) });
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    s = await answer.json();
    if (opened.size) await look();
  } catch (error) {
    document.title = "? Jurymast";
    const how = error instanceof TypeError || error.name === "TimeoutError" ? "No answer from the agent." : `The agent answers wrongly: ${error.message}.`;
    return gone(last ? `${how} This is how it stood at ${clock(last.now)} UTC.` : `${how} Is it running?`);
  }
  last = s;
  for (const m of s.moves) if (m.left) m.outcome = { outcome: "left" };
  const age = Date.now() - Date.parse(s.now);
  gone(age > 5000 ? `The engine stands still since ${clock(s.now)} UTC, or the clocks of this computer and of the agent differ by ${Math.round(age / 1000)} s.` : "");
  if (turn++ % 10 === 0) { askDrill(); askAudit(); }
  alerted("trouble", s.journal_trouble ? `The journal cannot be written, so nothing is moved: ${s.journal_trouble}. Free or mend the disk of agent.data_dir; Jurymast goes on by itself.` : s.journal_lost ? `The journal was lost, so nothing is moved: ${s.journal_lost}. Look where each service runs, then release the hold.` : s.audit_broken ? `The audit log is not whole: ${s.audit_broken}.` : "");
  head(s); news(s); paint(s);
}
function paint(s) {
  const due = needs(s);
  $("you-section").hidden = !due.asks.length && !due.left.length && !due.undone.length && !due.trouble && !due.aside.length && !due.untold.length;
  show("you", due, you);
  show("services", serving(s), services);
  $("moves-section").hidden = !s.moves.length;
  show("moves", { moves: s.moves, acting: s.acting }, moves);
  show("incidents", happening(s), incidents);
  const active = s.services.map((v) => [v.state.active, v.name]), names = new Map();
  for (const [entity, service] of active) names.set(entity, names.has(entity) ? `${names.get(entity)}, ${service}` : service);
  const things = s.entities.map((e) => ({ name: e.name, kind: e.kind, health: e.health, symptoms: e.symptoms, needs: e.needs }));
  show("map", { entities: things, active: [...names], width: Math.max(180, $("map").clientWidth - 20) }, topology);
  show("entities", { entities: things, total: s.entities_total, wanted: $("find").value.trim().toLowerCase() }, entities);
  $("ahead-section").hidden = !s.coverage || !s.coverage.failures;
  if (s.coverage) show("ahead", { coverage: s.coverage, uncovered: s.uncovered }, ahead);
  $("drill-section").hidden = !s.services.length;
  show("drill", { drill: drilled, made: s.drills, acting: s.acting }, drill);
  show("log", s.recent, log);
}
document.addEventListener("toggle", (event) => {
  const id = Number(event.target.dataset.evidence);
  if (event.target.id === "audit-more") { forget("audit"); askAudit(); }
  if (!id) return;
  if (!event.target.open) { opened.delete(id); charts.delete(id); } else if (!opened.has(id)) { opened.add(id); draw(); }
}, true);
document.addEventListener("click", (event) => { if (event.target.id === "audit-older") askAudit(true); });
$("find").addEventListener("input", () => last && paint(last));
addEventListener("resize", () => last && paint(last));
listen(async (name) => { if (name === "drill") await askDrill(); draw(); });
// One after the other: a slow line is not asked faster than it answers. A page that nobody sees asks less often.
async function again() {
  await draw();
  setTimeout(again, document.hidden ? 10000 : 1000);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) draw(); });
again();
