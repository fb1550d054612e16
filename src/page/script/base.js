// The page of a run: what moves. Everything shown is made of text nodes; data comes from the page itself.
(() => {
"use strict";
const $ = id => document.getElementById(id);
const root = document.documentElement, body = document.body;
const api = root.dataset.serve;
let D = JSON.parse($("_data").textContent);
const STATUS = $("_data").dataset.statuses.split(" ");
const ITEM = ["in flight", "succeeded", "failed", "cancelled", "compensated", "with a failed compensation", "waiting", "not started"];
const ITEM_GLYPH = ["run", "ok", "bad", "stop", "comp", "bad", "wait", "none"];
const WORST = [2, 5, 6, 0, 4, 3, 1, 7];
const WAIT = ["waits to be retried", "waits for a person", "waits for an event", "waits for the next round", "waits for a free place", "waits in its document"];
const OUTCOME = ["running", "success", "failed", "stopped", "end not seen"];
const OUTCOME_F = ["run", "ok", "bad", "stop", "none"];
const STATUS_GLYPH = { success: "ok", failed: "bad", timeout: "bad", skipped: "skip", cancelled: "stop", compensated: "comp", compensation_failed: "bad" };
const STATUS_WORD = { success: "success", failed: "failed", timeout: "timed out", skipped: "skipped", cancelled: "cancelled", compensated: "compensated", compensation_failed: "failed to compensate" };
const MOST_CELLS = 2000, MOST_ROWS = 300;
const SVG = "http://www.w3.org/2000/svg";

// Building elements: attributes, then children, strings as text.
function fill(node, attrs, kids) {
  for (const [name, value] of Object.entries(attrs || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "hidden") node.hidden = true;
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const kid of kids.flat(3)) if (kid !== undefined && kid !== null && kid !== false && kid !== "") node.append(kid);
  return node;
}
const el = (tag, attrs, ...kids) => fill(document.createElement(tag), attrs, kids);
const sv = (tag, attrs, ...kids) => fill(document.createElementNS(SVG, tag), attrs, kids);
const glyph = name => sv("svg", { class: "g g-" + name, "aria-hidden": "true", width: 16, height: 16 }, sv("use", { href: "#_g-" + name }));

function ms(value) {
  if (value < 9.95 && value % 1 !== 0) return value.toFixed(2) + " ms";
  if (value < 999.5) return Math.round(value) + " ms";
  let s = value / 1000;
  if (s < 59.995) return s.toFixed(2) + " s";
  s = Math.round(s);
  const two = n => String(n).padStart(2, "0");
  if (s < 3600) return Math.floor(s / 60) + " min " + two(s % 60) + " s";
  const m = Math.floor((s + 30) / 60);
  return Math.floor(m / 60) + " h " + two(m % 60) + " min";
}
// Changes what is in a box without losing the focus there.
function keepFocus(box, change) {
  const active = document.activeElement, path = [];
  if (active && active !== box && box.contains(active)) for (let node = active; node !== box; node = node.parentNode) path.unshift([...node.parentNode.children].indexOf(node));
  change();
  if (!path.length || box.contains(document.activeElement)) return;
  const same = path.reduce((node, at) => node && node.children[at], box);
  if (same && same.tagName === active.tagName) same.focus({ preventScroll: true });
}
const num = n => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
const many = (n, what) => n === 1 ? "1 " + what : num(n) + " " + what + "s";

// The state of the page is its address.
const S = {};
let known;
function readHash() {
  const hash = location.hash.slice(1);
  const all = new URLSearchParams(hash.includes("=") ? hash : "");
  for (const name of ["view", "step", "item", "tab", "t", "state", "cause", "q", "range", "gate"]) S[name] = all.get(name);
}
function link(patch) {
  const all = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...S, ...patch })) if (value !== null && value !== undefined && value !== "") all.set(name, value);
  return "#" + all.toString().replace(/\+/g, "%20");
}
function go(patch, quietly) {
  const to = link(patch);
  history[quietly ? "replaceState" : "pushState"](null, "", to === "#" ? location.pathname + location.search : to);
  readHash();
  draw();
}

// Items: numbers from 0, the run itself is the last.
let N, keyIndex, stepIndex;
function index() {
  N = D.items.keys.length;
  D.run.end = D.run.now;
  D.run.read = performance.now();
  keyIndex = new Map(D.items.keys.map((key, i) => [key, i]));
  stepIndex = new Map(D.steps.map((step, i) => [step.phase, i]));
  known = { attempts: grouped(D.attempts.item), ends: grouped(D.ends.item), waits: grouped(D.waits.item) };
}
const itemOf = key => key === null ? null : keyIndex.has(key) ? keyIndex.get(key) : key === "run" || key === ":run" ? -1 : null;
const keyOf = item => item < 0 ? "run" : D.items.keys[item];
const moment = () => S.t === null || isNaN(+S.t) || +S.t >= D.run.end ? Infinity : +S.t;
const over = (ended, t) => ended >= 0 && ended <= t;

// The places of an item's entries in a table: found at once, since a run may have many.
function grouped(list) {
  const starts = new Uint32Array(N + 3);
  for (const item of list) starts[item + 2]++;
  for (let i = 1; i < starts.length; i++) starts[i] += starts[i - 1];
  const places = new Uint32Array(list.length), next = starts.slice();
  list.forEach((item, at) => { places[next[item + 1]++] = at; });
  return item => Array.from(places.subarray(starts[item + 1], starts[item + 2]));
}
const own = item => ({ attempts: known.attempts(item), ends: known.ends(item), waits: known.waits(item) });

// All items at a moment.
function fold(t) {
  const state = new Int8Array(N + 1).fill(7), items = D.items;
  for (let i = 0; i < items.at.length && items.at[i] <= t; i++) state[items.item[i] < 0 ? N : items.item[i]] = items.state[i];
  const waits = D.waits;
  for (let i = 0; i < waits.item.length && waits.began[i] <= t; i++) {
    const at = waits.item[i] < 0 ? N : waits.item[i];
    if ([1, 2, 5].includes(waits.why[i]) && !over(waits.ended[i], t) && state[at] === 0) state[at] = 6;
  }
  return state;
}
function steps(t) {
  const all = D.steps.map(() => ({ running: 0, waits: [0, 0, 0, 0, 0, 0], ends: STATUS.map(() => 0), retried: 0, took: [], tokens: 0, dollars: 0 }));
  const { attempts, ends, waits } = D;
  for (let i = 0; i < attempts.item.length && attempts.began[i] <= t; i++) {
    const step = all[attempts.step[i]];
    if (!over(attempts.ended[i], t)) step.running++;
    else { step.tokens += attempts.tokens[i]; step.dollars += attempts.dollars[i]; }
  }
  for (let i = 0; i < ends.item.length && ends.at[i] <= t; i++) {
    const step = all[ends.step[i]];
    step.ends[ends.status[i]]++;
    if (ends.attempts[i] > 1) step.retried++;
    if (ends.took[i] >= 0 && STATUS[ends.status[i]] !== "skipped") step.took.push(ends.took[i]);
  }
  for (let i = 0; i < waits.item.length && waits.began[i] <= t; i++) if (!over(waits.ended[i], t)) all[waits.step[i]].waits[waits.why[i]]++;
  return all;
}

