// The signals of an incident around its onset.
import { el, svg, clock } from "./dom.js";

const short = (value) => Number(value.toPrecision(5)).toString();
const WIDE = 320, HIGH = 72, LEFT = 2;

// What detectors that tell nothing by themselves make of the signal: from `bar` on each speaks. As `jurymast explain` has it.
const OTHERS = [
  ["season", "this hour on other days", 3, (v) => `${v.toFixed(1)} deviations off`],
  ["drift", "creeping (Page-Hinkley)", 1, (v) => `${v.toFixed(2)} of what counts as a drift`],
  ["forest", "random cut forest", 5, (v) => `surprise ${v.toFixed(1)}`],
  ["change", "changed for good", 0.5, (v) => `${(v * 100).toFixed(0)} % probable`],
];
// A bar that is half full where the detector begins to speak.
const gauge = (part, speaks) => svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
  svg("rect", { class: speaks ? "speaks" : null, width: Math.min(100, Math.max(0, part * 50)).toFixed(1), height: 10 }), svg("line", { x1: 50, x2: 50, y1: 0, y2: 10 }));
function others(said) {
  const heard = OTHERS.filter(([name]) => said && Number.isFinite(said[name]));
  if (!heard.length) return null;
  const speak = heard.filter(([name, , bar]) => said[name] >= bar).length;
  return el("div", "others", el("p", "soft", `Second opinions: ${speak} of ${heard.length} find it strange as well`), el("ul", { "aria-label": "second opinions" }, heard.map(([name, words, bar, tell]) => {
    const value = said[name], speaks = value >= bar;
    return el("li", speaks ? "" : "soft", el("span", "", speaks ? el("strong", "", words) : words), gauge(value / bar, speaks), el("span", "", tell(value)));
  })));
}

export function chart(c) {
  const points = c.points.filter((p) => Number.isFinite(p.value));
  if (!points.length) return null;
  const times = points.map((p) => Date.parse(p.at)), values = points.map((p) => p.value);
  const onset = Date.parse(c.onset), from = times[0], to = Math.max(times[times.length - 1], from + 1), band = c.band || [];
  const all = values.concat(band), least = Math.min(...all), most = Math.max(...all), reach = most - least || 1;
  const x = (t) => LEFT + ((t - from) / (to - from)) * (WIDE - 2 * LEFT), y = (v) => HIGH - 4 - ((v - least) / reach) * (HIGH - 8);
  const strongest = Math.max(0, ...points.map((p) => p.surprise));
  const told = c.bar && strongest ? `surprise up to ${strongest.toFixed(1)}, told from ${c.bar.toFixed(1)} on` : "";
  const course = `${short(Math.min(...values))} to ${short(Math.max(...values))}${c.rate ? " a second" : ""}` + (band.length ? `, usual is ${short(band[0])} to ${short(band[1])}` : "");
  const words = `${course}; began ${clock(c.onset)}${told ? "; " + told : ""}`;
  const image = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `${c.entity} ${c.signal}: ${words}` },
    band.length ? svg("rect", { class: "band", x: 0, width: WIDE, y: y(band[1]), height: Math.max(1, y(band[0]) - y(band[1])) }) : null,
    onset >= from && onset <= to ? svg("line", { class: "onset", x1: x(onset), x2: x(onset), y1: 0, y2: HIGH }) : null,
    svg("polyline", { class: "value", points: points.map((p, n) => `${x(times[n]).toFixed(1)},${y(p.value).toFixed(1)}`).join(" ") }),
    points.map((p, n) => (c.bar && p.surprise >= c.bar ? svg("circle", { class: "strange", cx: x(times[n]), cy: y(p.value), r: 2.5 }) : null)));
  return el("figure", { class: "chart", "data-key": `${c.entity} ${c.signal}` }, image, el("figcaption", "soft", el("strong", "", `${c.entity} ${c.signal}`), " " + words), others(c.others));
}
