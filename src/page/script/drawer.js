// The drawer: one step, one item, or both, in full.
// The drawer.
const detailOf = item => D.details[item];
function details(item, step) { const all = detailOf(item); return all ? all.attempts.filter(one => one.step === step) : []; }
function lastDetail(item, step, t) {
  const done = own(item).attempts.filter(i => D.attempts.step[i] === step && D.attempts.began[i] <= t);
  const last = done[done.length - 1];
  return last === undefined ? null : details(item, step).filter(one => one.number === D.attempts.number[last] && one.element === D.attempts.element[last]).pop();
}
function value(one, about) {
  const ty = D.values.find(v => v.name === one.name);
  const shown = one.html ? el("div", { class: "md", tabindex: 0 }) : one.json && one.text.includes("\n") ? tree(one.text) : el("pre", { tabindex: 0, class: one.json ? "json" : null }, one.json ? coloured(one.text) : one.text || "(empty text)");
  if (one.html) shown.innerHTML = one.html; // rendered from escaped markdown; the policy of the page lets nothing in it run
  return el("div", { class: "val" }, el("div", { class: "head" }, el("b", {}, one.name), ty && ty.type && el("span", { class: "ty" }, ty.type), about),
    shown, (one.files || []).map(preview), one.cut && el("p", { class: "dim" }, "cut: " + num(one.cut) + " bytes in all; orderflow show " + D.run.name + " --item KEY --format json has it whole"));
}
function preview(file) {
  const size = file.bytes === null ? "it is gone" : file.bytes < 1024 ? many(file.bytes, "byte") : num(Math.round(file.bytes / 1024)) + " KiB";
  const name = api && file.bytes !== null ? el("a", { href: api + "/files/" + file.path.split("/").map(encodeURIComponent).join("/"), download: "" }, file.path) : el("span", {}, file.path);
  return [el("p", { class: "dim" }, name, " · " + size), file.text !== undefined && el("pre", { class: "file", tabindex: 0, "aria-label": "The beginning of " + file.path }, file.text || "(empty)")];
}
// JSON in lines: objects and lists can be folded, and those far in are, if there is much.
function tree(text) {
  const lines = text.split("\n"), much = lines.length > 30, inset = line => line.length - line.trimStart().length;
  const level = (from, to, depth) => {
    const out = [];
    for (let i = from; i < to; i++) {
      let end = i + 1;
      if (/[[{]$/.test(lines[i])) while (end < to && inset(lines[end]) > inset(lines[i])) end++;
      if (end === i + 1) { out.push(el("div", {}, coloured(lines[i]))); continue; }
      out.push(el("details", { open: depth < 2 || !much }, el("summary", {}, coloured(lines[i])), level(i + 1, end, depth + 1)));
      i = end - 1;
    }
    return out;
  };
  return el("div", { class: "json tree", tabindex: 0 }, level(0, lines.length, 0));
}
function coloured(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|-?\b\d[\d.eE+-]*|\b(?:true|false|null)\b/g)) {
    parts.push(text.slice(at, found.index), found[1] ? el("b", {}, found[0]) : el("i", {}, found[0]));
    at = found.index + found[0].length;
    if (parts.length > 1500) break;
  }
  parts.push(text.slice(at));
  return parts;
}
const none = text => el("p", { class: "dim" }, text);
const missing = item => detailOf(item) ? null : none("This page has no room for the values of this item: orderflow show " + D.run.name + " --item " + keyOf(item) + " has them.");
const stepLink = (step, extra) => el("a", { href: link({ step: D.steps[step].phase, ...extra }) }, D.steps[step].title);

function tabIn(item, step, t) {
  const detail = lastDetail(item, step, t);
  if (!detail) return missing(item) || none("It has not begun, so it was given nothing.");
  if (!detail.inputs.length) return none("It takes no values.");
  return detail.inputs.map(one => {
    const input = D.steps[step].takes.find(input => D.values[input.value].name === one.name);
    const makers = input ? input.from.filter(maker => stepOfItem(item, maker, t).state !== "none") : [];
    return value(one, el("span", { class: "dim" }, makers.length ? ["from ", stepLink(makers[0], { tab: "out" })] : "an input of the workflow"));
  });
}
function tabOut(item, step, t) {
  const detail = lastDetail(item, step, t);
  if (!detail) return missing(item) || none("It has not begun, so it made nothing.");
  const out = detail.outputs.map(one => {
    const id = D.values.findIndex(v => v.name === one.name);
    const users = D.steps.map((s, i) => [s, i]).filter(([s]) => s.takes.some(input => input.value === id)).map(([, i]) => i);
    return value(one, users.length ? el("span", { class: "dim" }, "to ", users.map((user, i) => [i ? ", " : "", stepLink(user, { tab: "in" })])) : el("span", { class: "dim" }, "a result"));
  });
  if (detail.columns.length) out.push(el("h3", {}, "Reported besides"), ...detail.columns.map(one => value(one)));
  return out.length ? out : none(detail.error ? "It failed, so it made nothing." : "It made no values.");
}
function tabLog(item, step, t) {
  const all = details(item, step).filter(one => began(item, one) <= t);
  if (!all.length) return missing(item) || none("It has not begun.");
  const out = all.filter(one => one.error || one.log).map(one => [
    el("h3", {}, "Attempt " + one.number),
    one.error && el("p", { class: "bad" }, one.error.message, one.error.code && [" ", el("code", {}, one.error.code)]),
    one.error && el("p", { class: "dim" }, one.error.outcome),
    (one.log || one.error && one.error.log) && el("pre", { class: "log", tabindex: 0 }, one.log || one.error.log)]);
  return out.length ? out : none("It has logged nothing.");
}
function began(item, detail) {
  const found = own(item).attempts.filter(i => D.attempts.step[i] === detail.step && D.attempts.number[i] === detail.number && D.attempts.element[i] === detail.element);
  return found.length ? D.attempts.began[found[0]] : 0;
}
function tabAttempts(item, step, t) {
  const list = own(item).attempts.filter(i => D.attempts.step[i] === step && D.attempts.began[i] <= t);
  if (!list.length) return none("No attempt has begun.");
  const all = details(item, step);
  let before = null;
  return list.map(i => {
    const A = D.attempts, detail = all.find(one => one.number === A.number[i] && one.element === A.element[i]), done = over(A.ended[i], t);
    const differs = detail && before ? detail.inputs.filter(one => { const other = before.inputs.find(b => b.name === one.name); return !other || other.text !== one.text; }).map(one => one.name) : [];
    const outcome = done ? A.outcome[i] : 0;
    const shown = el("div", { class: "att" }, el("p", {}, glyph(outcome ? { 1: "ok", 2: "bad", 3: "stop", 4: "none" }[outcome] : "run"), " ", el("b", {}, "attempt " + A.number[i]),
      A.element[i] >= 0 && " · element " + A.element[i], detail && detail.round !== undefined && " · round " + detail.round, " · " + (done ? OUTCOME[outcome] : D.run.live || t < D.run.end ? "running" : "interrupted"),
      done && " · " + ms(A.ended[i] - A.began[i])),
      el("p", { class: "dim" }, "began at " + ms(A.began[i]), A.tokens[i] ? " · " + many(A.tokens[i], "token") : "", detail && detail.stopped && " · " + detail.stopped),
      detail && detail.error && el("p", { class: "bad" }, detail.error.message),
      before && detail && el("p", { class: "dim" }, differs.length ? "differs from the one before in " + differs.join(", ") : "the same inputs as before"),
      detail && detail.key && el("p", { class: "dim" }, "idempotency key ", el("span", { class: "mono" }, detail.key)));
    before = detail || before;
    return shown;
  });
}
function tabCompensation(item, step, t) {
  const own = D.steps[step], out = [];
  if (own.compensation !== null) {
    const by = stepOfItem(item, own.compensation, t);
    out.push(line(by.state, "b " + by.state, by.word), el("p", {}, "by ", stepLink(own.compensation, {})));
    if (by.state === "none") out.push(none("It is compensated if the item fails later."));
  }
  for (const of of own.compensates) {
    const at = stepOfItem(item, of, t);
    out.push(el("p", {}, "compensates ", stepLink(of, {}), ": "), line(at.state, at.state, at.word));
  }
  return out.length ? out : none("Nothing compensates this step.");
}
function tabTalk(item, step, t) {
  return details(item, step).map(one => one.messages && one.messages.length ? [el("h3", {}, "Attempt " + one.number + (one.round !== undefined ? ", round " + one.round : "")),
    ...one.messages.filter(m => m.at <= t).map(m => el("div", { class: "msg " + m.role.replace(/\W.*/, "") }, el("p", { class: "dim" }, m.role + (m.name ? " " + m.name : "") + " · at " + ms(m.at)), el("pre", { tabindex: 0 }, m.text), m.cut && none("cut: " + num(m.cut) + " bytes in all")))] : []);
}
function tabInner(item, step, t) {
  const all = details(item, step).filter(one => one.ran && began(item, one) <= t);
  const state = { running: "run", waiting: "person", interrupted: "stop" };
  return all.map(one => [el("h3", {}, "Attempt " + one.number + (one.element >= 0 ? ", element " + one.element : "") + ": " + one.ran.document), one.ran.steps.length ? "" : none("Nothing has begun in it."),
    ...one.ran.steps.map(inner => { const kind = state[inner.state] || STATUS_GLYPH[inner.state]; return el("div", { class: "att" }, el("p", {}, glyph(kind), " ", el("b", {}, inner.title), " ", el("span", { class: "dim" }, (STATUS_WORD[inner.state] || inner.state) + (inner.took >= 0 ? " · " + ms(inner.took) : "") + (inner.attempts > 1 ? " · " + inner.attempts + " attempts" : ""))),
      inner.question && el("p", { class: "wait" }, inner.question), inner.error && el("p", { class: "bad" }, inner.error), inner.log && el("pre", { class: "log", tabindex: 0 }, inner.log)); })]);
}
function overview(item, t) {
  const detail = detailOf(item), state = fold(t)[item < 0 ? N : item], out = [line(ITEM_GLYPH[state], "b", ITEM[state])];
  const cause = item >= 0 && D.causes[D.items.cause[item]];
  if (cause && t === Infinity) out.push(el("p", { class: "bad" }, cause.step !== null && [stepLink(cause.step, { tab: "log" }), ": "], cause.message));
  if (api && !D.run.live && [2, 4, 5].includes(state) && t === Infinity) out.push(el("form", { class: "act", "data-act": "retry", "data-items": JSON.stringify([keyOf(item)]) }, el("button", { type: "submit" }, "Retry this item"), item >= 0 && el("button", { type: "button", class: "edit" }, "Edit inputs and retry"), el("span", { class: "said", role: "status" })));
  if (detail && detail.resolved) out.push(el("p", {}, "resolved by hand: " + detail.resolved));
  out.push(el("h3", {}, "Steps"));
  const rows = D.steps.map((step, i) => [stepOfItem(item, i, t), i]).filter(([at]) => at.state !== "none");
  rows.sort(([a], [b]) => (a.attempts.length ? D.attempts.began[a.attempts[0]] : D.ends.at[a.ends[0]] ?? 1e15) - (b.attempts.length ? D.attempts.began[b.attempts[0]] : D.ends.at[b.ends[0]] ?? 1e15));
  for (const [at, i] of rows) out.push(el("p", {}, glyph(at.state), " ", stepLink(i, {}), " ", el("span", { class: "dim" }, at.word + (at.took !== undefined && at.attempts.length ? " · " + ms(at.took) : ""))));
  for (const gate of D.gates.filter(gate => gate.item === item && gate.at <= t)) out.push(el("h3", {}, "Gate of " + gate.title), el("p", {}, gate.question), el("p", { class: "dim" }, gate.ended !== null && gate.ended <= t ? gate.said || gate.state : "waiting since " + gate.since));
  out.push(el("h3", {}, "Inputs"));
  out.push(...(detail ? detail.inputs.length ? detail.inputs.map(one => value(one)) : [none("none")] : [missing(item)]));
  return out;
}
function stepOverview(step, t) {
  const own = D.steps[step], out = [], now = steps(t)[step];
  out.push(...marginOfAll(step, now)[0]);
  const list = (title, ids, draw) => { if (ids.length) out.push(el("h3", {}, title), ...ids.map(draw)); };
  list("Takes", own.takes, input => el("p", {}, el("code", {}, D.values[input.value].name + (input.optional ? "?" : "")), " ", el("span", { class: "dim" }, D.values[input.value].type || "", " from ", input.from.length ? input.from.map((maker, i) => [i ? " or " : "", stepLink(maker, {})]) : "outside")));
  list("Makes", own.makes, id => el("p", {}, el("code", {}, D.values[id].name), " ", el("span", { class: "dim" }, D.values[id].type || "")));
  if (own.compensation !== null) out.push(el("h3", {}, "Compensated by"), el("p", {}, stepLink(own.compensation, {})));
  list("Compensates", own.compensates, id => el("p", {}, stepLink(id, {})));
  const bad = [], slow = [];
  for (let i = 0; i < D.ends.item.length && D.ends.at[i] <= t; i++) if (D.ends.step[i] === step) {
    if (STATUS_GLYPH[STATUS[D.ends.status[i]]] === "bad") bad.push(i);
    slow.push(i);
  }
  const itemLink = i => el("p", {}, el("a", { class: "mono", href: link({ item: keyOf(D.ends.item[i]), step: own.phase }) }, keyOf(D.ends.item[i])), " ", el("span", { class: "dim" }, STATUS_WORD[STATUS[D.ends.status[i]]] + (D.ends.took[i] >= 0 ? " · " + ms(D.ends.took[i]) : "")));
  list("Failed for", bad.slice(0, 10), itemLink);
  if (bad.length > 10) out.push(none("… and " + num(bad.length - 10) + " more"));
  if (N > 1) list("Slowest", slow.sort((a, b) => D.ends.took[b] - D.ends.took[a]).slice(0, 5), itemLink);
  return out;
}
// A failed item continues with the step that failed.
function again(item, step, t) {
  const state = fold(t)[item < 0 ? N : item], cause = item >= 0 ? D.causes[D.items.cause[item]] : null;
  if (t !== Infinity || D.run.live || ![2, 4, 5].includes(state) || item >= 0 && (!cause || cause.step !== step) || item < 0 && stepOfItem(item, step, t).state !== "bad") return null;
  if (api) return el("form", { class: "act", "data-act": "retry", "data-items": JSON.stringify([keyOf(item)]) }, el("button", { type: "submit" }, "Retry from here"), el("span", { class: "said", role: "status" }));
  return el("p", { class: "cmd" }, el("span", { class: "dim" }, "to retry from here: "), el("code", {}, "orderflow retry " + D.run.name + (D.run.single ? "" : " --item " + word(keyOf(item)))));
}
const word = text => /^[\w./:@-]+$/.test(text) ? text : "'" + text.replace(/'/g, "'\\''") + "'";
const TABS = [["in", "In", tabIn], ["out", "Out", tabOut], ["log", "Log", tabLog], ["attempts", "Attempts", tabAttempts], ["compensation", "Compensation", tabCompensation], ["talk", "Conversation", tabTalk], ["inner", "Document", tabInner]];
let returnTo = null;
function drawDrawer(item, t) {
  const drawer = $("_drawer"), step = stepIndex.has(S.step) ? stepIndex.get(S.step) : null;
  const show = step !== null || item !== null;
  if (!show && !drawer.hidden && returnTo && returnTo.isConnected) returnTo.focus({ preventScroll: true });
  drawer.hidden = !show;
  const logs = [...drawer.querySelectorAll(".log")].map(log => log.scrollTop + log.clientHeight >= log.scrollHeight - 4 ? Infinity : log.scrollTop);
  // What is the same stays, with the focus and what a person has selected.
  const put = nodes => {
    const now = el("div", {}, nodes);
    const title = drawer.querySelector("h2"), same = title && title.textContent === now.querySelector("h2").textContent;
    const folds = [...drawer.querySelectorAll("details")], is = one => one && one.querySelector("summary").textContent;
    if (same) now.querySelectorAll("details").forEach((one, i) => { if (is(folds[i]) === is(one)) one.open = folds[i].open; });
    if (now.innerHTML === drawer.innerHTML) return;
    keepFocus(drawer, () => drawer.replaceChildren(...now.childNodes));
    drawer.querySelectorAll(".log").forEach((log, i) => { log.scrollTop = same && i in logs ? Math.min(logs[i], log.scrollHeight) : log.scrollHeight; });
  };
  body.classList.toggle("drawn", show);
  if (!show) return;
  // One item: it is always the chosen one.
  const who = item === null && D.run.single && N === 1 && step !== null && !D.steps[step].once ? 0 : item === null && step !== null && D.steps[step].once ? -1 : item;
  const title = step === null ? "Item " + keyOf(who) : D.steps[step].title;
  const head = [el("h2", { tabindex: -1, id: "_drawer-title" }, title), el("button", { type: "button", class: "close", "aria-label": "Close details", onclick: () => go({ step: null, item: step === null ? null : S.item, tab: null }) }, "✕")];
  if (step === null) return void put([...head, ...overview(who, t)]);
  const facts = [D.steps[step].who, who !== null && !D.run.single && (who < 0 ? "once, after all items" : "")].filter(Boolean).join(" · ");
  head.push(el("p", { class: "dim" }, facts, who !== null && who >= 0 && !D.run.single && [facts && " · ", el("a", { class: "mono", href: link({ step: null, tab: null }) }, keyOf(who))]));
  if (who === null) return void put([...head, ...stepOverview(step, t)]);
  const at = stepOfItem(who, step, t), talks = details(who, step).some(one => one.messages && one.messages.length);
  const inside = details(who, step).some(one => one.ran);
  const tabs = TABS.filter(([name]) => name === "talk" ? talks : name === "inner" ? inside : name === "compensation" ? D.steps[step].compensation !== null || D.steps[step].compensates.length : true);
  const wanted = tabs.find(([name]) => name === S.tab) || tabs.find(([name]) => name === (inside && at.state !== "ok" ? "inner" : ["bad", "run"].includes(at.state) ? "log" : "out"));
  const bar = el("div", { class: "tabs", role: "tablist", "aria-label": "Details" }, tabs.map(([name, text]) => el("button", { type: "button", role: "tab", id: "_tab-" + name, "aria-selected": String(name === wanted[0]), "aria-controls": "_panel", tabindex: name === wanted[0] ? 0 : -1,
    onclick: () => { go({ tab: name }); $("_tab-" + name).focus(); } }, text + (name === "attempts" && at.attempts.length ? " " + at.attempts.length : ""))));
  bar.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = tabs.indexOf(wanted), next = tabs[(at + step + tabs.length) % tabs.length][0];
    go({ tab: next });
    $("_tab-" + next).focus();
  });
  const [lines] = marginOfItem(step, who, t);
  put([...head, ...lines.slice(0, 2), again(who, step, t), bar, el("div", { role: "tabpanel", id: "_panel", "aria-labelledby": "_tab-" + wanted[0], tabindex: 0 }, wanted[2](who, step, t))]);
}

