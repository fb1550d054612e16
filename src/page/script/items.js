// Margins and the strip of items: what happened to each step and each item at a moment.
// Margins.
const line = (icon, kind, text) => el("p", { class: kind }, icon && glyph(icon), " ", text);
function marginOfAll(step, now) {
  const lines = [], out = D.steps[step], count = name => now.ends[STATUS.indexOf(name)];
  const at = (n, word) => D.run.single ? word : num(n) + " " + word;
  const runs = now.running - now.waits[5];
  if (runs > 0) lines.push(D.run.live || moment() < D.run.end ? line("run", "b run", at(runs, "running")) : line("stop", "b stop", at(runs, "interrupted")));
  now.waits.forEach((n, why) => { if (n) lines.push(line(why === 1 ? "person" : "wait", "b wait", at(n, n === 1 ? WAIT[why] : WAIT[why].replace("waits", "wait")))); });
  const done = count("success") + count("compensated");
  const tried = now.ends.reduce((a, b) => a + b, 0) - count("skipped") - count("cancelled");
  const word = out.kind === "compensation" ? "compensated" : "succeeded";
  if (done) lines.push(line(out.kind === "compensation" ? "comp" : "ok", out.kind === "compensation" ? "b comp" : "b ok",
    done === tried ? (D.run.single && done === 1 ? word : num(done) + " " + word) : num(done) + " of " + num(tried) + " " + word));
  for (const [name, text] of [["failed", "failed"], ["timeout", "timed out"], ["compensation_failed", "failed to compensate"]]) if (count(name)) lines.push(line("bad", "b bad", at(count(name), text)));
  if (count("skipped")) lines.push(line("skip", "dim", at(count("skipped"), "skipped")));
  if (count("cancelled")) lines.push(line("stop", "dim", at(count("cancelled"), "cancelled")));
  if (!lines.length) lines.push(line("none", "dim", "not reached yet"));
  const parts = [];
  if (now.took.length === 1) parts.push(ms(now.took[0]));
  else if (now.took.length && now.took.length <= 50000) {
    const sorted = Float64Array.from(now.took).sort(), rank = p => sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)];
    parts.push("p50 " + ms(rank(.5)), "p95 " + ms(rank(.95)));
  }
  if (now.retried) parts.push(num(now.retried) + " retried");
  if (now.tokens) parts.push(many(now.tokens, "token"));
  if (parts.length) lines.push(el("p", { class: "dim" }, parts.join(" · ")));
  const bad = count("failed") + count("timeout") + count("compensation_failed");
  return [lines, bad ? "bad" : now.running ? "run" : now.waits.some(n => n) ? "wait" : count("compensated") ? "comp" : count("success") ? "ok" : "none"];
}
// How a step of an item is at a moment.
function stepOfItem(item, step, t) {
  const mine = own(item), at = { attempts: [], ends: [], waits: [], state: "none", word: "not reached" };
  for (const i of mine.attempts) if (D.attempts.step[i] === step && D.attempts.began[i] <= t) at.attempts.push(i);
  for (const i of mine.ends) if (D.ends.step[i] === step && D.ends.at[i] <= t) at.ends.push(i);
  for (const i of mine.waits) if (D.waits.step[i] === step && D.waits.began[i] <= t && !over(D.waits.ended[i], t)) at.waits.push(i);
  const running = at.attempts.filter(i => !over(D.attempts.ended[i], t));
  if (running.length && !at.waits.some(i => D.waits.why[i] === 5)) [at.state, at.word] = D.run.live || t < D.run.end ? ["run", "running"] : ["stop", "interrupted"];
  else if (at.waits.length) [at.state, at.word] = [D.waits.why[at.waits[0]] === 1 ? "person" : "wait", WAIT[D.waits.why[at.waits[0]]]];
  else if (at.ends.length) {
    const last = new Map();
    for (const i of at.ends) last.set(D.ends.element[i], i);
    const names = [...last.values()].map(i => STATUS[D.ends.status[i]]);
    const worst = ["compensation_failed", "failed", "timeout", "cancelled", "compensated", "success", "skipped"].find(name => names.includes(name));
    at.state = STATUS_GLYPH[worst];
    at.word = STATUS_WORD[worst] + (names.length > 1 ? ", " + names.filter(n => n === worst).length + " of " + names.length : "");
    at.took = [...last.values()].reduce((sum, i) => sum + Math.max(0, D.ends.took[i]), 0);
  } else if (t === Infinity && ![0, 6].includes(fold(t)[item < 0 ? N : item])) at.word = D.steps[step].kind === "forward" ? "not reached" : "not needed";
  else at.word = "not reached yet";
  return at;
}
function marginOfItem(step, item, t) {
  const at = stepOfItem(item, step, t), lines = [line(at.state, "b " + at.state, at.word)];
  const parts = [];
  if (at.took !== undefined && at.attempts.length) parts.push(ms(at.took));
  if (at.attempts.length > 1) parts.push(many(at.attempts.length, "attempt"));
  if (at.attempts.length) parts.push("began at " + ms(D.attempts.began[at.attempts[0]]));
  const tokens = at.attempts.reduce((sum, i) => sum + (over(D.attempts.ended[i], t) ? D.attempts.tokens[i] : 0), 0);
  if (tokens) parts.push(many(tokens, "token"));
  if (parts.length) lines.push(el("p", { class: "dim" }, parts.join(" · ")));
  const fault = at.attempts.length && at.state === "bad" && lastDetail(item, step, t);
  if (fault && fault.error) lines.push(el("p", { class: "dim" }, fault.error.message.slice(0, 140)));
  const undone = D.steps[step].compensation;
  if (undone !== null && item !== null) {
    const by = stepOfItem(item, undone, t);
    if (by.state === "comp") lines.push(line("comp", "comp", "compensated by " + D.steps[undone].title));
  }
  return [lines, at.state === "person" ? "wait" : at.state];
}
const original = new Map();
function drawMargins(item, t) {
  const all = item === null && t !== Infinity ? steps(t) : null;
  for (const box of document.querySelectorAll("[data-margin]")) {
    const step = +box.dataset.margin;
    if (!original.has(step)) original.set(step, [...box.childNodes].map(node => node.cloneNode(true)).concat([box.className]));
    const link = box.querySelector(".open");
    if (item === null && t === Infinity) {
      const back = original.get(step);
      box.replaceChildren(...back.slice(0, -1).map(node => node.cloneNode(true)));
      box.className = back[back.length - 1];
    } else {
      const [lines, state] = item === null ? marginOfAll(step, all[step]) : marginOfItem(step, item, t);
      box.replaceChildren(...lines, link);
      box.className = "m m-" + state;
    }
    box.closest(".sec").classList.toggle("chosen", S.step === D.steps[step].phase);
  }
}

// The strip of items.
let cells = [], active = 0, cellList = null;
function matching(state) {
  const wanted = S.state === null ? null : S.state.split(","), cause = S.cause === null ? null : +S.cause, q = (S.q || "").toLowerCase();
  const [from, to] = (S.range || "").split("-").map(Number);
  const found = [];
  for (let i = 0; i < N; i++) {
    if (wanted && !wanted.includes(String(state[i]))) continue;
    if (cause !== null && D.items.cause[i] !== cause) continue;
    if (S.range && (i < from || i > to)) continue;
    if (q && !D.items.keys[i].toLowerCase().includes(q)) continue;
    found.push(i);
  }
  return found;
}
function buildStrip() {
  const strip = $("_strip");
  if (N < 2) return;
  strip.hidden = false;
  const causes = D.causes.map((one, i) => num(one.count) + " × " + (one.step === null ? "deadline" : D.steps[one.step].title) + ": " + (one.code || one.message).slice(0, 60));
  if (buildStrip.search) {
    strip.querySelector("h2").textContent = many(N, "item");
    buildStrip.offer(causes);
    return;
  }
  const states = el("span", { class: "states" }), cause = el("select", { "aria-label": "Filter by cause", onchange: event => go({ cause: event.target.value || null, range: null }) });
  const offer = all => { cause.replaceChildren(el("option", { value: "" }, "all causes"), ...all.map((text, i) => el("option", { value: i }, text))); cause.hidden = all.length < 2; };
  offer(causes);
  const search = el("input", { type: "search", placeholder: "find a key  /", "aria-label": "Find an item by its key", oninput: event => go({ q: event.target.value || null, range: null }, true) });
  search.addEventListener("keydown", event => {
    const found = matching(fold(moment()));
    if (event.key === "Enter" && found.length) { search.blur(); go({ item: keyOf(found[0]), q: null }); }
  });
  const list = el("div", { class: "cells", role: "listbox", tabindex: 0, "aria-label": "Items in the order in which they began; arrows move, Enter chooses" });
  list.addEventListener("click", event => { const cell = event.target.closest("i"); if (cell) choose(+cell.dataset.at); });
  list.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -1e9, End: 1e9 }[event.key] || { ArrowDown: perRow(), ArrowUp: -perRow() }[event.key];
    if (step) { event.preventDefault(); move(active + step); }
    else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(active); }
  });
  strip.replaceChildren(el("div", { class: "tools" }, el("h2", {}, many(N, "item")), states, cause, search), el("div", { class: "line" }, list, el("span", { class: "now" })), el("div", { class: "found" }));
  Object.assign(buildStrip, { offer, states, cause, search, list, now: strip.querySelector(".now"), found: strip.querySelector(".found") });
}
const perRow = () => { const top = cells[0] && cells[0].offsetTop; const next = cells.findIndex(cell => cell.offsetTop !== top); return next < 0 ? cells.length : next; };
function move(to) {
  active = Math.max(0, Math.min(cells.length - 1, to));
  if (!cells[active]) return;
  buildStrip.list.setAttribute("aria-activedescendant", cells[active].id);
  cells.forEach((cell, i) => cell.classList.toggle("on", i === active));
  cells[active].scrollIntoView({ block: "nearest" });
  buildStrip.now.textContent = cells[active].getAttribute("aria-label");
}
function choose(at) {
  active = at;
  const bin = cellList[at];
  if (!bin) return;
  if (bin.length > 1) go({ range: bin[0] + "-" + bin[bin.length - 1] });
  else go({ item: S.item === keyOf(bin[0]) ? null : keyOf(bin[0]) });
}
function drawStrip(item, state) {
  if (N < 2) return;
  const { states, cause, search, list, now, found } = buildStrip;
  const counts = new Array(8).fill(0);
  for (let i = 0; i < N; i++) counts[state[i]]++;
  const wanted = S.state === null ? [] : S.state.split(",");
  keepFocus(states, () => states.replaceChildren(...WORST.filter(s => counts[s] || wanted.includes(String(s))).map(s => el("button", {
    type: "button", "aria-pressed": String(wanted.includes(String(s))),
    onclick: () => { const rest = wanted.filter(w => w !== String(s)); go({ state: (wanted.includes(String(s)) ? rest : [...rest, s]).join(",") || null, range: null }); },
  }, glyph(ITEM_GLYPH[s]), " ", num(counts[s]) + " " + ITEM[s])).flatMap(button => [button, " "])));
  if (document.activeElement !== search) search.value = S.q || "";
  cause.value = S.cause === null ? "" : S.cause;
  const all = matching(state), size = Math.ceil(all.length / MOST_CELLS) || 1, bins = [];
  for (let i = 0; i < all.length; i += size) bins.push(all.slice(i, i + size));
  if (!cellList || bins.length !== cells.length) {
    cells = bins.map((_, i) => el("i", { role: "option", id: "_c" + i, "data-at": i }));
    list.replaceChildren(...cells);
    list.className = "cells" + (bins.length > 600 ? " most" : bins.length > 150 ? " many" : "");
    list.hidden = !bins.length;
  }
  cellList = bins;
  bins.forEach((bin, i) => {
    const worst = bin.length === 1 ? state[bin[0]] : WORST.find(s => bin.some(one => state[one] === s));
    const chosen = item !== null && bin.includes(item);
    const label = bin.length === 1 ? keyOf(bin[0]) + ", " + ITEM[worst] : keyOf(bin[0]) + " to " + keyOf(bin[bin.length - 1]) + ": " + WORST.map(s => [s, bin.filter(one => state[one] === s).length]).filter(([, n]) => n).map(([s, n]) => n + " " + ITEM[s]).join(", ");
    const cell = cells[i];
    cell.className = "c" + worst + (chosen ? " on" : "");
    cell.setAttribute("aria-label", label);
    cell.title = label;
    cell.setAttribute("aria-selected", String(chosen));
    if (chosen) { active = i; list.setAttribute("aria-activedescendant", cell.id); }
  });
  const filtered = wanted.length || S.cause !== null || S.q || S.range;
  now.replaceChildren(...(item !== null ? [glyph(ITEM_GLYPH[state[item < 0 ? N : item]]), " " + keyOf(item) + " " + ITEM[state[item < 0 ? N : item]] + " ", el("button", { type: "button", onclick: () => go({ item: null, tab: null }) }, "all items")]
    : filtered ? [many(all.length, "item") + " ", el("button", { type: "button", onclick: () => go({ state: null, cause: null, q: null, range: null }) }, "show all")] : []));
  found.replaceChildren(...(S.q && all.length ? all.slice(0, 12).map(i => el("a", { class: "mono", href: link({ item: keyOf(i), q: null }) }, keyOf(i))) : []), S.q && all.length > 12 ? "… and " + num(all.length - 12) + " more" : "", S.q && !all.length ? "no key contains this" : "");
}

