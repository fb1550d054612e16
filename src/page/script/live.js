// Where the page is served: its buttons, and the newest state of a run that continues.
const RESTS = 1500;
async function send(path, data) {
  const answer = await fetch(api + path, { method: "POST", credentials: "same-origin", headers: { "content-type": "application/json" }, body: JSON.stringify(data) });
  if (answer.ok) return null;
  const said = await answer.json().catch(() => ({}));
  return said.error?.message || said.message || said.error || answer.statusText;
}
function enable() {
  document.addEventListener("submit", async event => {
    const form = event.target.closest("form.act");
    if (!form) return;
    event.preventDefault();
    const said = form.querySelector(".said"), which = event.submitter;
    const [path, data, done] = form.dataset.act === "gate"
      ? ["/" + which.name + "?resume=true", { step: form.dataset.step, items: [form.dataset.item], note: form.elements.note.value || null }, which.name === "approve" ? "approved" : "rejected"]
      : ["/" + form.dataset.act, form.dataset.item ? { items: [form.dataset.item] } : {}, "asked for"];
    form.querySelectorAll("button").forEach(button => { button.disabled = true; });
    said.textContent = "…";
    const wrong = await send(path, data).catch(error => String(error.message || error));
    said.textContent = wrong || done;
    form.querySelectorAll("button").forEach(button => { button.disabled = !wrong; });
    if (!wrong) setTimeout(renew, 300);
  });
  const wait = () => setTimeout(async () => { await renew(); if (["running", "paused", "waiting"].includes(D.run.state)) wait(); }, Math.max(RESTS, renew.took * 8));
  renew.took = 0;
  if (["running", "paused", "waiting"].includes(D.run.state)) wait();
}
// Takes what has changed from the page as the server has it now.
async function renew() {
  const began = performance.now();
  const answer = await fetch(location.pathname, { credentials: "same-origin", headers: { accept: "text/html" } }).catch(() => null);
  if (!answer || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html"), fresh = page.getElementById("_data");
  if (!fresh) return;
  const data = JSON.parse(fresh.textContent);
  renew.took = performance.now() - began;
  if (data.run.events === D.run.events && data.run.state === D.run.state) return;
  const grown = data.items.keys.length !== D.items.keys.length || data.causes.length !== D.causes.length;
  D = data;
  document.title = page.title;
  document.querySelector("link[rel=icon]").href = page.querySelector("link[rel=icon]").getAttribute("href");
  for (const id of ["_bar", "_figures"]) {
    const [old, now] = [$(id), page.getElementById(id)];
    if (id === "_bar") { for (const part of [".title", "#_counts", "#_facts"]) old.querySelector(part).replaceWith(now.querySelector(part)); old.querySelectorAll("form").forEach(form => form.remove()); old.querySelector("nav").before(...now.querySelectorAll("form")); }
    else old.replaceChildren(...now.childNodes);
  }
  for (const name of ["_needs", "_fails"]) {
    const [old, now] = [$(name), page.getElementById(name)];
    if (old && old.contains(document.activeElement) && document.activeElement.tagName === "INPUT") continue;
    if (old && now) old.replaceWith(now); else if (old) old.remove(); else if (now) name === "_needs" ? $("_main").prepend(now) : $("_strip").before(now);
  }
  const margins = page.querySelectorAll("[data-margin]");
  document.querySelectorAll("[data-margin]").forEach((box, i) => { if (margins[i]) { box.replaceChildren(...margins[i].childNodes); box.className = margins[i].className; } });
  const callouts = page.querySelectorAll(".callout");
  document.querySelectorAll(".callout").forEach((box, i) => { if (callouts[i]) box.replaceWith(callouts[i]); });
  original.clear();
  countsText = null;
  index();
  if (grown || $("_strip").hidden) { cellList = null; buildStrip(); }
  if (!buildTime.range) buildTime(); else buildTime.fit();
  draw();
}
