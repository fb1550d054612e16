// Where the page is served: its buttons, what happens as it happens, and the last words of what runs.
const OPEN = ["running", "paused", "waiting"], SOON = 250, SECOND = 1000, MOST_RUNNING = 8, WORDS = 8000;
async function send(path, data) {
  const answer = await fetch(api + path, { method: "POST", credentials: "same-origin", headers: { "content-type": "application/json" }, body: JSON.stringify(data) });
  if (answer.ok) return null;
  const said = await answer.json().catch(() => ({}));
  return said.error || answer.statusText;
}
function enable() {
  document.addEventListener("submit", async event => {
    const form = event.target.closest("form.act");
    if (!form) return;
    event.preventDefault();
    const said = form.querySelector(".said"), which = event.submitter, asked = form.dataset.act === "answer", gate = form.dataset.act === "gate";
    if (form.dataset.busy) return;
    // Enter in the note would be the first button.
    if ((gate || asked) && document.activeElement.matches("input") && form.contains(document.activeElement)) { said.textContent = "choose " + [...form.querySelectorAll("button")].map(one => one.textContent.split(" as ")[0]).join(" or "); which.focus(); return; }
    const keys = JSON.parse(form.dataset.items || "null");
    const [path, data, done] = form.dataset.act === "edit" ? ["/retry", { edited: [{ key: keys[0], inputs: edited(form) }] }, "asked for"] : asked
      ? ["/answer", { question: form.dataset.question, agrees: which.name === "approve", values: which.name === "approve" ? values(form) : {}, note: form.elements.note.value || null }, "answered"] : gate
      ? ["/" + which.name + "?resume=true", { step: form.dataset.step, items: keys, by: form.dataset.by || null, note: form.elements.note.value || null }, which.name === "approve" ? "approved" : "rejected"]
      : ["/" + form.dataset.act, keys ? { items: keys } : {}, "asked for"];
    form.dataset.busy = "true";
    said.textContent = "…";
    const wrong = await send(path, data).catch(error => String(error.message || error));
    delete form.dataset.busy;
    said.textContent = wrong || done;
    if (!wrong) { $("_live").textContent = done; soon(); }
  });
  document.addEventListener("click", event => { const button = event.target.closest("form.act .edit"); if (button) edit(button.closest("form")); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && OPEN.includes(D.run.state)) soon(); follow(); });
  setInterval(tick, SECOND);
  tick();
  follow();
}

// What was filled in of what an agent asks for, by name.
function values(form) {
  const all = {};
  for (const field of form.elements) if (field.name.startsWith("value:") && field.value !== "") all[field.name.slice(6)] = field.value;
  return all;
}
// A form with the inputs of a failed item, in place of the button.
async function edit(form) {
  const key = JSON.parse(form.dataset.items)[0], said = form.querySelector(".said");
  said.textContent = "…";
  const answer = await fetch(api + "/dead-letters", { credentials: "same-origin" }).catch(() => null), all = answer && await answer.json().catch(() => null);
  const letter = answer && answer.ok && all.find(one => one.key === key);
  if (!letter) { said.textContent = all && all.error || "this item cannot be retried"; return; }
  const fields = Object.entries(letter.inputs).map(([name, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const field = el("textarea", { name, rows: Math.min(text.split("\n").length, 8), spellcheck: "false" });
    field.value = text;
    [field.before, field.text] = [text, typeof value === "string"];
    return el("label", {}, el("span", {}, name), field);
  });
  const next = el("form", { class: "act edits", "data-act": "edit", "data-items": form.dataset.items }, el("p", { class: "dim" }, "The item runs from its first step, with new keys."), ...fields, el("button", { type: "submit" }, "Retry with these inputs"), el("span", { class: "said", role: "status" }));
  form.replaceWith(next);
  const first = next.querySelector("textarea, button");
  first.focus();
}
// What was changed in it, by name: texts as they are, other values as JSON.
function edited(form) {
  const inputs = {};
  for (const field of form.querySelectorAll("textarea")) {
    if (field.value === field.before) continue;
    let value = field.value;
    if (!field.text) try { value = JSON.parse(value); } catch { /* What does not fit is refused. */ }
    inputs[field.name] = value;
  }
  return inputs;
}

// The events say that something has changed; the page then takes it from the server as a whole.
let source = null, due = null, renewing = false, took = 0;
function follow() {
  if (!OPEN.includes(D.run.state) || document.hidden) { if (source) source.close(); source = null; return; }
  if (source && source.readyState !== EventSource.CLOSED) return;
  source = new EventSource(api + "/events?after=" + D.run.events);
  source.onopen = () => connected(true);
  source.onerror = () => connected(false);
  source.onmessage = soon;
  source.addEventListener("run", event => { const now = JSON.parse(event.data); if (now.active !== D.run.live || now.questions.join() !== ids(D)) soon(); });
}
const ids = data => data.questions.map(([id]) => id).join();
function connected(is) {
  let said = $("_lost");
  if (is && said) said.remove();
  if (!is && !said) $("_facts").after(el("p", { id: "_lost", class: "bad", role: "status" }, "not connected since " + new Date().toLocaleTimeString()));
}
function soon() {
  if (due === null) due = setTimeout(async () => {
    due = null;
    if (renewing) return soon();
    renewing = true;
    await renew();
    renewing = false;
    follow();
  }, Math.max(SOON, took * 4));
}
// Takes what has changed from the page as the server has it now.
async function renew() {
  const began = performance.now();
  const answer = await fetch(location.pathname + location.search, { credentials: "same-origin", headers: { accept: "text/html" } }).catch(() => null);
  if (!answer || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html"), fresh = page.getElementById("_data");
  if (!fresh) return;
  const data = JSON.parse(fresh.textContent);
  took = performance.now() - began;
  if (data.run.events === D.run.events && data.run.state === D.run.state && data.run.live === D.run.live && ids(data) === ids(D)) return;
  D = data;
  document.title = page.title;
  document.querySelector("link[rel=icon]").href = page.querySelector("link[rel=icon]").getAttribute("href");
  const [bar, now] = [$("_bar"), page.getElementById("_bar")];
  for (const part of [".title", "#_counts", "#_facts"]) bar.querySelector(part).replaceWith(now.querySelector(part));
  const [acts, news] = [bar, now].map(one => [...one.querySelectorAll("form")]);
  if (acts.map(form => form.dataset.act).join() !== news.map(form => form.dataset.act).join()) { acts.forEach(form => form.remove()); bar.querySelector("nav").before(...news); }
  for (const view of ["_figures", "_compare"]) $(view).replaceChildren(...page.getElementById(view).childNodes);
  keepFocus(bar.querySelector("nav"), () => bar.querySelector("nav").replaceChildren(...now.querySelector("nav").childNodes));
  swap("_needs", page.getElementById("_needs"), band => $("_main").prepend(band));
  swap("_fails", page.getElementById("_fails"), band => $("_running").before(band));
  keepFocus($("_doc"), () => {
    const margins = page.querySelectorAll("[data-margin]"), callouts = page.querySelectorAll(".callout");
    document.querySelectorAll("[data-margin]").forEach((box, i) => { if (margins[i]) { box.replaceChildren(...margins[i].childNodes); box.className = margins[i].className; } });
    document.querySelectorAll(".callout").forEach((box, i) => { if (callouts[i]) box.replaceWith(callouts[i]); });
    original.clear();
  });
  countsText = null;
  index();
  buildStrip();
  if (!buildTime.range) buildTime(); else buildTime.fit();
  draw();
  tick();
}
// Replaces a band, but not what a person is doing in it: notes, what is unfolded, and where the focus is.
function swap(id, now, add) {
  const old = $(id);
  if (!old) { if (now) add(now); return; }
  const what = form => (form.dataset.act || "") + (form.dataset.step || "") + (form.dataset.items || "") + (form.dataset.question || "");
  const forms = band => [...band.querySelectorAll("form.act")], fold = one => one.className + [...one.querySelectorAll("summary b, summary code, summary .message")].map(node => node.textContent).join(" ");
  const active = old.contains(document.activeElement) ? document.activeElement : null, form = active && active.closest("form.act");
  if (!now) { old.remove(); if (active) $("_doc").focus({ preventScroll: true }); return; }
  const fields = form => [...form.elements].filter(field => field.name && field.matches("input, select")), notes = new Map(forms(old).flatMap(one => fields(one).map(field => [what(one) + field.name, field.value])));
  const open = new Map([...old.querySelectorAll("details")].map(one => [fold(one), one.open]));
  for (const one of forms(now)) for (const field of fields(one)) if (notes.has(what(one) + field.name)) field.value = notes.get(what(one) + field.name);
  for (const one of now.querySelectorAll("details")) if (open.has(fold(one))) one.open = open.get(fold(one));
  const marks = active && active.selectionStart !== undefined ? [active.selectionStart, active.selectionEnd] : null;
  old.replaceWith(now);
  if (!active) return;
  const same = form && forms(now).find(one => what(one) === what(form)), next = same || forms(now)[0];
  const target = next && active.name && next.elements[active.name] || next && next.querySelector("button") || now.querySelector("summary, a");
  if (target) target.focus({ preventScroll: Boolean(same) });
  if (same && marks && target.setSelectionRange) target.setSelectionRange(...marks);
}

// The clock of a run that is active.
let logging = false;
async function tick() {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("#_needs time")) {
    const away = Date.now() - Date.parse(time.dateTime), text = seconds(Math.abs(away));
    time.dataset.at = time.dataset.at || time.textContent;
    time.textContent = time.dataset.at + (away < 0 ? " (in " + text + ")" : " (" + text + " ago)");
  }
  if (!D.run.live) return;
  D.run.end = D.run.now + Math.round(performance.now() - D.run.read);
  if (moment() !== Infinity) return;
  $("_wall").textContent = seconds(D.run.end);
  if (buildTime.range) { buildTime.fit(); drawTime(Infinity); }
  drawRunning(Infinity);
  if (S.view === "timeline") keepFocus($("_timeline"), () => drawTimeline(itemOf(S.item), Infinity, fold(Infinity)));
  if (logging) return;
  logging = true;
  const more = await fetch(api + "/logs?after=" + D.logs, { credentials: "same-origin" }).then(answer => answer.ok ? answer.json() : null).catch(() => null);
  logging = false;
  if (!more || more.next <= D.logs) return;
  D.logs = more.next;
  for (const part of more.parts) {
    const item = itemOf(part.item), step = stepIndex.get(part.phase), known = item !== null && details(item, step);
    const one = known && known.filter(one => one.number === part.attempt && one.element === (part.element === null ? -1 : part.element)).pop();
    if (one && part.text !== null) one.log = ((one.log || "") + part.text).slice(-WORDS);
  }
  drawRunning(Infinity);
  drawDrawer(itemOf(S.item), Infinity);
}
const seconds = value => value < 60000 ? Math.floor(value / 1000) + " s" : ms(value);
// What runs, the slowest first, with the last line of its log.
function drawRunning(t) {
  const box = $("_running"), A = D.attempts, all = [];
  if (D.run.live && t === Infinity) for (let i = 0; i < A.item.length; i++) if (A.ended[i] < 0) all.push(i);
  box.hidden = !all.length;
  if (!all.length) return box.replaceChildren();
  const rows = all.slice(0, MOST_RUNNING).map(i => {
    const detail = details(A.item[i], A.step[i]).filter(one => one.number === A.number[i] && one.element === A.element[i]).pop();
    const talk = detail && detail.messages && detail.messages.length ? detail.messages[detail.messages.length - 1].text : "";
    const words = (detail && detail.log || talk || "").trimEnd().split("\n").pop().slice(-200);
    const asks = D.questions.find(([, item, step]) => item === keyOf(A.item[i]) && step === D.steps[A.step[i]].phase);
    return el("p", {}, el("span", { class: "times" }, seconds(D.run.end - A.began[i])), el("a", { href: "#item=" + encodeURIComponent(keyOf(A.item[i])) + "&step=" + encodeURIComponent(D.steps[A.step[i]].phase) + "&tab=log" }, !D.run.single && [el("span", { class: "mono" }, keyOf(A.item[i])), " "], el("b", {}, D.steps[A.step[i]].title)), A.number[i] > 1 && el("span", { class: "dim" }, "attempt " + A.number[i]), asks && el("a", { class: "wait", href: "#gate=" + asks[0] + "&item=" + encodeURIComponent(asks[1]) }, "asks a person"), words && el("code", { class: "words dim" }, words));
  });
  keepFocus(box, () => box.replaceChildren(el("h2", { id: "_running-title" }, glyph("run"), " " + many(all.length, "step") + (all.length === 1 ? " runs" : " run")), ...rows, all.length > MOST_RUNNING ? none("… and " + num(all.length - MOST_RUNNING) + " more") : ""));
}
