// Drawing everything, keys and links.
// Everything.
let before = {};
function draw() {
  const t = moment();
  if (!["graph", "timeline", "figures", "compare"].includes(S.view) || !$("_" + S.view).childNodes.length && S.view === "compare") S.view = null;
  body.dataset.view = S.view || "document";
  const item = itemOf(S.item), state = fold(t);
  drawHeader(t, state);
  drawStrip(item, state);
  drawRunning(t);
  keepFocus($("_doc"), () => drawMargins(item, t));
  drawDrawer(item, t);
  drawTimeline(item, t, state);
  drawTime(t);
  cover();
  drawRail();
  for (const gate of document.querySelectorAll("[data-gate]")) {
    const own = new URLSearchParams(gate.dataset.gate), here = own.get("gate") === S.gate && own.get("item") === S.item;
    gate.classList.toggle("here", here);
    if (here && before.gate !== S.gate) gate.scrollIntoView({ block: "nearest" });
  }
  if (S.step !== before.step && S.step && S.view === null) {
    const section = document.querySelector('.step[data-step="' + stepIndex.get(S.step) + '"]');
    if (section && !inView(section)) section.scrollIntoView({ block: "start" });
  }
  const said = [S.item !== before.item && item !== null && keyOf(item) + ", " + ITEM[state[item < 0 ? N : item]], S.step !== before.step && S.step && stepIndex.has(S.step) && D.steps[stepIndex.get(S.step)].title].filter(Boolean);
  if (said.length) $("_live").textContent = said.join(": ");
  before = { ...S };
}
const inView = node => { const box = node.getBoundingClientRect(); return box.top > parseFloat(root.style.getPropertyValue("--top")) && box.top < innerHeight - 160; };

// Keys.
function help() {
  const keys = [["j k", "next and previous step"], ["f", "next failure"], ["n", "next item that waits for a person"], ["/", "find an item"], ["← →", "move among items or tabs"], ["Enter", "choose"], ["Esc", "close, then all items"], ["d r t g c", "document, graph, timeline, figures, compare"], [", .", "what happened before and next"], ["?", "these keys"]];
  const box = el("dialog", { "aria-labelledby": "_keys" }, el("h2", { id: "_keys" }, "Keys"), el("dl", {}, keys.map(([key, text]) => [el("dt", {}, key.split(" ").map((one, i) => [i ? " " : "", el("kbd", {}, one)])), el("dd", {}, text)])), el("p", {}, el("button", { type: "button", onclick: () => box.close() }, "Close")));
  box.addEventListener("close", () => box.remove());
  body.append(box);
  box.showModal();
}
function walk(by) {
  const all = [...document.querySelectorAll(".step[data-step]")];
  let at = all.findIndex(one => D.steps[+one.dataset.step].phase === S.step);
  if (at < 0 && by > 0) at = all.findIndex(one => one.getBoundingClientRect().top > 60) - 1;
  const next = all[Math.max(0, Math.min(all.length - 1, at + by))];
  if (next) go({ view: null, step: D.steps[+next.dataset.step].phase, tab: null });
}
function nextFailure() {
  const bad = [];
  for (const cause of D.causes) cause.items.forEach(item => bad.push([keyOf(item), cause.step === null ? null : D.steps[cause.step].phase]));
  if (!bad.length) return;
  const at = bad.findIndex(([item, step]) => item === S.item && step === S.step), [item, step] = bad[(at + 1) % bad.length];
  go({ view: null, item: D.run.single ? null : item, step, tab: "log" });
}
function nextGate() {
  const all = [...document.querySelectorAll("#_needs .need[data-gate]")].filter(one => one.checkVisibility());
  const next = all[(all.findIndex(one => one.contains(document.activeElement)) + 1) % all.length];
  if (!next) return;
  if (S.view !== null) go({ view: null });
  (next.querySelector("[name^='value:'],button[name=approve]") || next.querySelector("a")).focus();
}
document.addEventListener("keydown", event => {
  const typing = /^(input|select|textarea)$/i.test(event.target.tagName) && event.target.type !== "range";
  if (event.key === "Escape") {
    if (document.querySelector("dialog[open]")) return;
    if (typing) { event.target.blur(); return; }
    if (S.step !== null) go({ step: null, tab: null }); else if (S.item !== null) go({ item: null }); else if (S.t !== null) go({ t: null });
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = { n: nextGate, j: () => walk(1), k: () => walk(-1), f: nextFailure, "?": help, ",": () => stepTime(-1), ".": () => stepTime(1), d: () => go({ view: null }), r: () => go({ view: "graph" }), t: () => go({ view: "timeline" }), g: () => go({ view: "figures" }), c: () => go({ view: "compare" }),
    "/": () => buildStrip.search && (["figures", "compare"].includes(S.view) && go({ view: null }), buildStrip.search.focus()) }[event.key];
  if (act) { event.preventDefault(); act(); }
});
document.addEventListener("click", event => {
  const node = event.target.closest("[data-node]");
  if (node) return go({ step: D.steps[+node.dataset.node].phase, tab: null });
  const anchor = event.target.closest("a[href^='#']");
  if (!anchor || event.defaultPrevented) return;
  const href = anchor.getAttribute("href").slice(1);
  if (anchor.dataset.view) { event.preventDefault(); go({ view: anchor.dataset.view === "document" ? null : anchor.dataset.view }); return; }
  if (anchor.dataset.open !== undefined) { event.preventDefault(); returnTo = anchor; go({ step: D.steps[+anchor.dataset.open].phase, tab: null }); $("_drawer-title").focus({ preventScroll: true }); return; }
  if (href.includes("=")) {
    event.preventDefault();
    returnTo = anchor;
    const patch = Object.fromEntries(new URLSearchParams(href));
    go(anchor.closest("#_drawer") ? { step: null, item: null, tab: null, ...patch } : { view: null, gate: null, step: null, item: null, tab: null, ...patch });
    if (!$("_drawer").hidden && anchor.closest(".fails")) $("_drawer-title").focus({ preventScroll: true });
  }
});
addEventListener("popstate", () => { readHash(); draw(); });
addEventListener("hashchange", () => { readHash(); draw(); });
let resized;
addEventListener("resize", () => { cancelAnimationFrame(resized); resized = requestAnimationFrame(draw); });
function cover() {
  const sticks = node => getComputedStyle(node).position === "sticky" ? node.offsetHeight : 0;
  root.style.setProperty("--bar", sticks($("_bar")) + "px");
  root.style.setProperty("--top", sticks($("_bar")) + sticks($("_strip")) + "px");
}
const covers = new ResizeObserver(cover);
covers.observe($("_bar"));
covers.observe($("_strip"));

index();
readHash();
buildStrip();
buildTime();
draw();
for (const fold of document.querySelectorAll(".doc details")) fold.addEventListener("toggle", () => drawRail());
if (document.fonts) document.fonts.ready.then(() => drawRail());
if (api) enable();
})();
