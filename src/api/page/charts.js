// The signals of an incident around its onset.
import { el, svg, clock } from "./dom.js";

const short = (value) => Number(value.toPrecision(5)).toString();
const WIDE = 320, HIGH = 72, LEFT = 2;

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
  return el("figure", { class: "chart", "data-key": `${c.entity} ${c.signal}` }, image, el("figcaption", "soft", el("strong", "", `${c.entity} ${c.signal}`), " " + words));
}
