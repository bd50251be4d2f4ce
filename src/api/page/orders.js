// An operator's word: each is asked back once, with what it does, and goes out with the token. A button carries its order in `data-order`.
import { $, el } from "./dom.js";

const ORDERS = {
  approve: (d) => ({ title: `Move ${d.service || "it"}?`, text: `You say yes to incident ${d.id}: ${d.service || "each service that asks"} is moved away from ${d.from || "where it runs"} as soon as nothing else speaks against it.`, yes: "yes, move it", path: `/api/incidents/${d.id}/approve`, body: d.service ? { service: d.service } : {} }),
  deny: (d) => ({ title: `Leave ${d.service || "it"} where it is?`, text: `You say no to incident ${d.id}: nothing is moved because of it, and you are not asked again. You can say yes later.`, yes: "no, leave it", path: `/api/incidents/${d.id}/deny`, body: d.service ? { service: d.service } : {} }),
  confirm: (d) => ({ title: "Was this the cause?", text: `You confirm that incident ${d.id} was ${d.cause}. jurymast learn counts it from then on.`, yes: "yes, this was it", path: `/api/incidents/${d.id}/confirm`, body: {} }),
  abort: (d) => ({ title: "Stop this move?", text: `${d.summary}. Before the commit point everything is taken back; after it the move is stopped where it is and needs a person.`, yes: "stop it", path: `/api/plans/${encodeURIComponent(d.id)}/abort`, body: {} }),
  failback: (d) => ({ title: `Send ${d.service} back?`, text: `${d.service} is moved from ${d.from} to ${d.to}, by the same steps and checks as any move. There is a short interruption.`, yes: "send it back", path: `/api/services/${encodeURIComponent(d.service)}/failback`, body: {} }),
  maintain: (d) => ({ title: `Maintenance of ${d.service}?`, text: `${d.service} is not moved until then. Watching and judging go on.`, yes: "begin", span: true, path: "/api/maintenance", body: { service: d.service } }),
  maintained: (d) => ({ title: `End maintenance of ${d.service}?`, text: `${d.service} may be moved again.`, yes: "end it", path: "/api/maintenance", body: { service: d.service } }),
  hold: () => ({ title: "Hold everything?", text: "Nothing is moved until you release it; moves that are not past their commit point are taken back. Watching and judging go on.", yes: "hold everything", path: "/api/hold", body: { on: true } }),
  release: () => ({ title: "Release the hold?", text: "Services may be moved again.", yes: "release", path: "/api/hold", body: { on: false } }),
  drill: () => ({ title: "Look whether every move would work?", text: "Each active and standby instance is probed and the way to everything that a move would touch is looked at. Nothing is changed.", yes: "look", path: "/api/drills/dry", body: {} }),
};
export const order = (name, label, data, strong) =>
  el("button", { type: "button", class: strong && "strong", "data-order": name, "data-with": JSON.stringify(data || {}), "data-key": `${name} ${JSON.stringify(data || {})}` }, label);

let wanted = null;
const store = (kind, name, value) => { try { if (value === undefined) return kind.getItem(name) || ""; kind.setItem(name, value); } catch { /* no storage: it is asked for again */ } return ""; };

/// `after` is called with the order's name and the answer once the agent has taken it.
export function listen(after) {
  const dialog = $("order");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-order]");
    if (!button) return;
    wanted = { name: button.dataset.order, ...ORDERS[button.dataset.order](JSON.parse(button.dataset.with)) };
    $("order-title").textContent = wanted.title;
    $("order-text").textContent = wanted.text;
    $("order-yes").textContent = wanted.yes;
    $("order-wrong").textContent = "";
    $("order-span").hidden = !wanted.span;
    $("by").value = store(localStorage, "jurymast-by");
    $("token").value = store(sessionStorage, "jurymast-token");
    dialog.showModal();
    ($("token").value ? $("order-yes") : $("by").value ? $("token") : $("by")).focus();
  });
  $("order-no").addEventListener("click", () => dialog.close());
  $("order-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const by = $("by").value.trim(), token = $("token").value.trim(), said = wanted;
    if (said.span) said.body.for = $("span").value;
    $("order-yes").disabled = true;
    $("order-wrong").textContent = "";
    try {
      // Headers are ASCII.
      const name = (by || "page").normalize("NFKD").replace(/[^\x20-\x7e]/g, "");
      const answer = await fetch(said.path, { method: "POST", headers: { Authorization: `Bearer ${token.replace(/[^\x20-\x7e]/g, "")}`, "X-Jurymast-By": name, "Content-Type": "application/json" }, body: JSON.stringify(said.body) });
      if (!answer.ok) {
        if (answer.status === 401 || answer.status === 403) store(sessionStorage, "jurymast-token", "");
        throw new Error(await answer.text());
      }
      store(localStorage, "jurymast-by", by);
      store(sessionStorage, "jurymast-token", token);
      const told = await answer.json();
      dialog.close();
      after(said.name, told);
    } catch (error) {
      $("order-wrong").textContent = error instanceof TypeError ? "no answer from the agent" : error.message;
    } finally {
      $("order-yes").disabled = false;
    }
  });
}
