// The timeline and the slider.
// The timeline.
function criticalPath(item, t) {
  const ends = own(item).ends.filter(i => D.ends.at[i] <= t && D.ends.attempts[i] > 0), path = new Set();
  let last = ends.reduce((a, b) => a === undefined || D.ends.at[b] >= D.ends.at[a] ? b : a, undefined);
  while (last !== undefined && !path.has(D.ends.step[last])) {
    path.add(D.ends.step[last]);
    const needs = D.steps[D.ends.step[last]].needs, began = D.ends.at[last] - Math.max(0, D.ends.took[last]);
    const before = ends.filter(i => D.ends.at[i] <= began + 2 && !path.has(D.ends.step[i])), needed = before.filter(i => needs.includes(D.ends.step[i]));
    // What compensates or handles a failure waits for all that was before.
    last = (needs.length ? needed : before).reduce((a, b) => a === undefined || D.ends.at[b] > D.ends.at[a] ? b : a, undefined);
  }
  return path;
}
function bars(item, t) {
  const all = [], mine = own(item), A = D.attempts, W = D.waits;
  for (const i of mine.attempts) if (A.began[i] <= t) {
    const done = over(A.ended[i], t), to = done ? A.ended[i] : Math.min(t, D.run.end);
    all.push({ item, step: A.step[i], from: A.began[i], to, kind: done && A.outcome[i] === 1 && D.steps[A.step[i]].kind === "compensation" ? "comp" : OUTCOME_F[done ? A.outcome[i] : 0], text: D.steps[A.step[i]].title + ", attempt " + A.number[i] + ": " + (done ? OUTCOME[A.outcome[i]] + " after " : "running for ") + ms(to - A.began[i]) });
  }
  for (const i of mine.waits) if (W.began[i] <= t) {
    const to = over(W.ended[i], t) ? W.ended[i] : Math.min(t, D.run.end);
    all.push({ item, step: W.step[i], from: W.began[i], to, wait: W.why[i], text: D.steps[W.step[i]].title + " " + WAIT[W.why[i]] + ": " + ms(to - W.began[i]) });
  }
  const least = Math.max(4, D.run.end / 300), firsts = new Map();
  for (const i of mine.attempts) if (!firsts.has(A.step[i])) firsts.set(A.step[i], i);
  const begin = D.items.at[D.items.item.indexOf(item)] || 0;
  for (const [step, i] of firsts) {
    const needs = mine.ends.filter(e => D.steps[step].needs.includes(D.ends.step[e]) && D.ends.at[e] <= A.began[i]).map(e => D.ends.at[e]);
    const waited = mine.waits.some(w => W.step[w] === step && W.began[w] < A.began[i]);
    const ready = Math.max(begin, ...needs);
    if (D.steps[step].kind === "forward" && !waited && A.began[i] <= t && A.began[i] - ready >= least) all.push({ item, step, from: ready, to: A.began[i], wait: 4, text: D.steps[step].title + " " + WAIT[4] + ": " + ms(A.began[i] - ready) });
  }
  return all.sort((a, b) => a.from - b.from || a.to - b.to);
}
function lanes(all) {
  const ends = [];
  for (const bar of all) {
    let lane = ends.findIndex(end => end <= bar.from);
    if (lane < 0) lane = ends.push(0) - 1;
    ends[lane] = bar.to;
    bar.lane = lane;
  }
  return Math.max(1, ends.length);
}
const hatch = why => sv("pattern", { id: "_h" + why, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(" + [45, -45, 90, 0, 20, -20][why] + ")" }, sv("line", { x1: 0, y1: 0, x2: 0, y2: 6, class: "h" + why, "stroke-width": 2.4 }));
function ticks(from, to, most) {
  const span = Math.max(1, to - from), units = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5];
  const unit = units.find(u => span / u <= most) || Math.ceil(span / most / 864e5) * 864e5, all = [];
  for (let at = Math.ceil(from / unit) * unit; at <= to; at += unit) all.push(at);
  return all;
}
function drawTimeline(item, t, state) {
  const box = $("_timeline");
  box.hidden = false;
  if (S.view !== "timeline") return;
  const items = item !== null ? [item] : matching(state).slice(0, MOST_ROWS);
  if (item === null && D.items.item.includes(-1)) items.push(-1);
  const rows = [];
  if (items.length === 1) {
    const all = bars(items[0], t), path = criticalPath(items[0], t);
    for (const step of [...new Set(all.map(bar => bar.step))]) {
      const mine = all.filter(bar => bar.step === step);
      rows.push({ label: D.steps[step].title, go: { step: D.steps[step].phase, item: keyOf(items[0]) }, on: S.step === D.steps[step].phase, bars: mine, lanes: lanes(mine), path });
    }
  } else for (const one of items) {
    const mine = bars(one, t);
    if (mine.length) rows.push({ label: keyOf(one), go: { item: keyOf(one) }, bars: mine, lanes: lanes(mine), path: new Set() });
  }
  const from = items.length === 1 && rows.length ? Math.min(...rows.flatMap(row => row.bars.map(bar => bar.from))) : 0;
  const to = Math.max(from + 1, items.length === 1 && t === Infinity && rows.length ? Math.max(...rows.flatMap(row => row.bars.map(bar => bar.to))) : D.run.end);
  const wide = Math.max(200, box.clientWidth - 190 - 48), x = at => (at - from) / (to - from) * wide;
  const marks = ticks(from, to, Math.max(2, wide / 90));
  const defs = sv("svg", { width: 0, height: 0, "aria-hidden": "true" }, sv("defs", {}, [0, 1, 2, 3, 4, 5].map(hatch)));
  const axis = el("div", { class: "row" }, el("span"), sv("svg", { height: 20, "aria-hidden": "true" }, marks.map(at => sv("text", { x: x(at) + 3, y: 14 }, ms(at)))));
  const drawn = rows.map(row => {
    const high = 18, svg = sv("svg", { height: row.lanes * (high + 3) + 5, role: "img", "aria-label": row.bars.slice(0, 12).map(bar => bar.text).join("; ") });
    for (const at of marks) svg.append(sv("line", { class: "grid", x1: x(at), x2: x(at), y1: 0, y2: row.lanes * (high + 3) + 5 }));
    for (const bar of row.bars) {
      const shape = { x: x(bar.from), y: 4 + bar.lane * (high + 3), width: Math.max(1.5, x(bar.to) - x(bar.from)), height: bar.wait === undefined ? high : high - 4, rx: 2.5 };
      if (bar.wait !== undefined) shape.y += 2;
      svg.append(sv("rect", { ...shape, class: bar.wait === undefined ? "f-" + bar.kind : null, fill: bar.wait === undefined ? null : "url(#_h" + bar.wait + ")", "data-i": bar.item, "data-s": bar.step }, sv("title", {}, bar.text)));
      const title = D.steps[bar.step].title;
      if (bar.wait === undefined && row.label !== title && shape.width > title.length * 7.4 + 10) svg.append(sv("text", { class: "on", x: shape.x + 6, y: shape.y + 13.5 }, title));
      if (bar.wait === undefined && row.path.has(bar.step)) svg.append(sv("rect", { ...shape, class: "crit", "pointer-events": "none" }));
    }
    if (t !== Infinity) svg.append(sv("line", { class: "cursor", x1: x(t), x2: x(t), y1: 0, y2: row.lanes * (high + 3) + 5 }));
    return el("div", { class: "row" }, el("button", { type: "button", class: row.on ? "on" : null, title: row.label, onclick: () => go(row.go) }, row.label), svg);
  });
  const sample = (attrs, text) => el("li", {}, sv("svg", { "aria-hidden": "true" }, sv("rect", { x: 1, y: 1, width: 20, height: 10, rx: 2.5, ...attrs })), " ", text);
  const reasons = [...new Set(rows.flatMap(row => row.bars.map(bar => bar.wait)).filter(why => why !== undefined))].sort();
  const kinds = [...new Set(rows.flatMap(row => row.bars.map(bar => bar.kind)).filter(Boolean))];
  const legend = el("ul", { class: "legend" }, kinds.map(kind => sample({ class: "f-" + kind }, kind === "comp" ? "compensated" : OUTCOME[OUTCOME_F.indexOf(kind)])), reasons.map(why => sample({ fill: "url(#_h" + why + ")" }, WAIT[why].replace("waits", "waiting"))), rows.some(row => row.path.size) && sample({ class: "crit" }, "critical path"));
  const more = item === null ? matching(state).length - Math.min(MOST_ROWS, matching(state).length) : 0;
  const shown = el("div", { class: "tl" }, defs, axis, drawn);
  shown.addEventListener("click", event => { const bar = event.target.closest("rect[data-i]"); if (bar) go({ item: D.run.single && bar.dataset.i === "0" ? S.item : keyOf(+bar.dataset.i), step: D.steps[+bar.dataset.s].phase }); });
  box.replaceChildren(el("h2", { id: "_timeline-title" }, item === null ? "Timeline" : "Timeline of " + keyOf(item)), rows.length ? shown : none("Nothing has begun."), more > 0 ? none("… and " + num(more) + " more items: filter them above") : "", legend);
}

// What happened, in the order of time: its time, its kind and its place in the table of that kind.
let happened = null;
function changes() {
  if (happened && happened.of === D) return happened.all;
  const all = [], { items, attempts, ends, gates } = D;
  for (let i = 0; i < items.at.length; i++) if (!items.state[i]) all.push([items.at[i], "item", i]);
  for (let i = 0; i < attempts.item.length; i++) all.push([attempts.began[i], "began", i]);
  gates.forEach((gate, i) => all.push([gate.at, "gate", i]));
  for (let i = 0; i < attempts.item.length; i++) if (attempts.ended[i] >= 0) all.push([attempts.ended[i], "ended", i]);
  gates.forEach((gate, i) => { if (gate.ended !== null) all.push([gate.ended, "decided", i]); });
  for (let i = 0; i < ends.item.length; i++) if (!ends.attempts[i]) all.push([ends.at[i], "step", i]);
  for (let i = 0; i < items.at.length; i++) if (items.state[i]) all.push([items.at[i], "item", i]);
  all.sort((a, b) => a[0] - b[0]);
  happened = { of: D, all };
  return all;
}
function said([, kind, i]) {
  const { items, attempts, ends, gates } = D, about = item => D.run.single && item >= 0 ? "" : keyOf(item) + ": ", title = step => D.steps[step].title;
  if (kind === "item") return (D.run.single && items.item[i] >= 0 ? "the item " : keyOf(items.item[i]) + " ") + (items.state[i] ? ITEM[items.state[i]] : "began");
  if (kind === "began") return about(attempts.item[i]) + title(attempts.step[i]) + " began" + (attempts.number[i] > 1 ? ", attempt " + attempts.number[i] : "");
  if (kind === "ended") return about(attempts.item[i]) + title(attempts.step[i]) + " " + ["", "succeeded", "failed", "was stopped", "was lost"][attempts.outcome[i]];
  if (kind === "step") return about(ends.item[i]) + title(ends.step[i]) + " " + STATUS_WORD[STATUS[ends.status[i]]];
  return about(gates[i].item) + gates[i].title + (kind === "gate" ? " waits for a person" : ": " + (gates[i].said || gates[i].state));
}
// How many of them were before a moment, or at it.
function countTo(t) {
  const all = changes();
  let [from, to] = [0, all.length];
  while (from < to) { const half = (from + to) >> 1; if (all[half][0] <= t) from = half + 1; else to = half; }
  return from;
}
function stepTime(by) {
  if (!buildTime.range) return;
  const all = changes(), t = moment(), now = Math.min(t, D.run.end);
  if (by > 0) { const next = t === Infinity ? null : all[countTo(t)]; return go({ t: next && next[0] < D.run.end ? next[0] : null }); }
  const last = countTo(now - 1);
  go({ t: last ? all[last - 1][0] : 0 });
}

// The moment.
let playing = null;
function buildTime() {
  const bar = $("_time");
  if (!D.run.end) return;
  bar.hidden = false;
  const range = el("input", { type: "range", min: 0, "aria-label": "Moment of the run", oninput: event => { stop(); go({ t: +event.target.value >= D.run.end ? null : event.target.value }, true); } });
  const play = el("button", { type: "button", onclick: () => playing ? stop() : start() }, "▶ Play");
  const stop = () => { if (playing) cancelAnimationFrame(playing); playing = null; play.textContent = "▶ Play"; };
  const start = () => {
    const long = 9000, first = performance.now(), at = moment() === Infinity ? 0 : moment();
    play.textContent = "❚❚ Pause";
    const tick = now => {
      const t = at + (now - first) / long * D.run.end;
      if (t >= D.run.end) { stop(); go({ t: null }, true); return; }
      go({ t: Math.round(t) }, true);
      playing = requestAnimationFrame(tick);
    };
    playing = requestAnimationFrame(tick);
  };
  const to = (by, sign, name) => el("button", { type: "button", class: "near", "aria-label": name, title: name, onclick: () => { stop(); stepTime(by); } }, sign);
  bar.replaceChildren(play, to(-1, "‹", "What happened before"), to(1, "›", "What happened next"), range, el("span", { class: "at" }), el("span", { class: "ev dim" }), el("button", { type: "button", class: "end", onclick: () => { stop(); go({ t: null }); } }, D.run.live ? "Now" : "End"), el("button", { type: "button", class: "keys", "aria-label": "Keys", onclick: help }, "?"));
  buildTime.fit = () => {
    const step = Math.max(1, Math.round(D.run.end / 240));
    range.step = step;
    range.max = Math.ceil(D.run.end / step) * step;
  };
  buildTime.fit();
  Object.assign(buildTime, { range, at: bar.querySelector(".at"), ev: bar.querySelector(".ev"), end: bar.querySelector(".end") });
}
function drawTime(t) {
  if (!buildTime.range) return;
  const shown = t === Infinity ? D.run.end : t;
  buildTime.range.value = t === Infinity ? buildTime.range.max : t;
  const count = t === Infinity ? 0 : countTo(t), last = count ? said(changes()[count - 1]) : "nothing has happened";
  buildTime.range.setAttribute("aria-valuetext", t === Infinity ? (D.run.live ? "now" : "the end") : "at " + ms(t) + ": " + last);
  buildTime.at.textContent = ms(shown) + (t === Infinity ? "" : " of " + ms(D.run.end));
  buildTime.ev.textContent = t === Infinity ? many(D.run.events, "event") : num(count) + " of " + many(changes().length, "change") + " · " + last;
  buildTime.ev.title = t === Infinity ? "" : last;
  buildTime.end.disabled = t === Infinity;
}
let countsText = null, verdict = null;
function drawHeader(t, state) {
  const counts = $("_counts"), sign = document.querySelector(".verdict"), past = t !== Infinity;
  if (countsText === null) [countsText, verdict] = [counts.textContent, [sign.className, [...sign.childNodes]]];
  $("_facts").hidden = past;
  body.classList.toggle("past", past);
  if (!past) {
    counts.textContent = countsText;
    sign.className = verdict[0];
    sign.replaceChildren(...verdict[1]);
  } else {
    const sums = new Array(8).fill(0);
    for (let i = 0; i < N; i++) sums[state[i]]++;
    counts.textContent = [1, 2, 4, 5, 3, 0, 6, 7].filter(s => sums[s]).map(s => num(sums[s]) + " " + ITEM[s]).join(", ") || "nothing began";
    sign.className = "verdict v-run";
    sign.replaceChildren(glyph("run"), " at " + ms(t));
  }
  drawBands(t, state);
  for (const one of document.querySelectorAll("[data-view]")) if (one !== body) {
    if (one.dataset.view === body.dataset.view) one.setAttribute("aria-current", "page"); else one.removeAttribute("aria-current");
  }
}

// Failures as they were, and who was waited for.
function drawBands(t, state) {
  const past = t !== Infinity, counts = new Map();
  for (let i = 0; i < N; i++) if ([2, 4, 5].includes(state[i])) counts.set(D.items.cause[i], (counts.get(D.items.cause[i]) || 0) + 1);
  document.querySelectorAll("#_fails .cause").forEach((box, i) => {
    const times = box.querySelector(".times"), now = past ? counts.get(i) || 0 : D.causes[i].count;
    box.hidden = !now;
    if (times) times.textContent = num(now) + " ×";
  });
  const fails = $("_fails"), failed = [...counts.values()].reduce((a, b) => a + b, 0);
  if (fails) {
    fails.hidden = past && !failed;
    const title = $("_fails-title");
    if (!title.dataset.text) title.dataset.text = title.lastChild.textContent;
    title.lastChild.textContent = past ? " " + many(failed, "item") + " had failed" : title.dataset.text;
  }
  const needs = $("_needs"), old = $("_waited");
  if (needs) needs.hidden = past;
  if (old) old.remove();
  const open = past ? D.gates.filter(gate => gate.at <= t && (gate.ended === null || gate.ended > t)) : [];
  if (open.length) $("_main").prepend(el("section", { class: "needs", id: "_waited", "aria-label": "Who was waited for" }, el("p", {}, glyph("person"), " " + many(open.length, "item") + " waited for a person: " + open.slice(0, 5).map(gate => gate.title + (D.run.single ? "" : " (" + gate.key + ")")).join(", "))));
}
