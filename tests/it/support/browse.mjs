// Opens pages of runs in Chromium and checks what a person sees and does there. Prints what is wrong.
import assert from "node:assert/strict";
import { accessible, browser, faults, hash, readable, text } from "./browser.mjs";

const [, , , , parcels, gate] = process.argv;
async function open(file, hash = "", width = 1440) {
  const page = await browser.newPage();
  await page.setViewport({ width, height: 900 });
  page.on("pageerror", error => faults.push("error: " + error.message));
  page.on("console", message => { if (message.type() === "error") faults.push("console: " + message.text()); });
  page.on("request", request => { if (!/^(file|data):/.test(request.url()) || (request.url().startsWith("file:") && !request.isNavigationRequest())) faults.push("request: " + request.url()); });
  await page.goto("file://" + file + hash);
  return page;
}

const page = await open(parcels);
assert.match(await text(page, "#_counts"), /^2 succeeded, 3 compensated$/);
const margin = step => text(page, `[data-margin="${step}"]`);
const whole = [await margin(0), await margin(1), await margin(2)];
assert.match(whole[1], /2 of 5 succeeded 3 failed/);
await accessible(page, "document");
await readable(page, "document");

// Keyboard: find an item, read its failure, walk on.
await page.keyboard.press("/");
await page.keyboard.type("p4");
await page.keyboard.press("Enter");
assert.match(await hash(page), /item=p4/);
assert.match(await margin(1), /^failed .*began at .* exited with 69/);
assert.match(await margin(0), /success .*compensated by Put Away/);
assert.match(await text(page, "#_drawer"), /^Item p4 ✕ compensated Ship: exited with 69: it is lost/);
await accessible(page, "item");
await page.keyboard.press("Escape");
await page.keyboard.press("Escape");
assert.doesNotMatch(await hash(page), /item=/);
await page.keyboard.press("f");
assert.match(await text(page, "#_drawer"), /Ship ✕ p2 .*no carrier takes 11 grams invalid|Ship ✕ p2 .*no carrier takes 11 grams/);
assert.equal(await page.evaluate(() => document.querySelector("[aria-selected=true][role=tab]").textContent), "Log");
assert.match(await text(page, "#_drawer .cmd"), /^to retry from here: orderflow retry \w+ --item p2$/);
await page.focus("[role=tab][aria-selected=true]");
await page.keyboard.press("ArrowLeft");
await page.keyboard.press("ArrowLeft");
assert.match(await text(page, "#_panel"), /grams Integer from Weigh 11 parcel String an input of the workflow heavy stone/);
await accessible(page, "drawer");
await readable(page, "drawer");
await page.keyboard.press("Escape");
await page.keyboard.press("Escape");
await page.keyboard.press("j");
assert.match(await hash(page), /step=Weigh/);
await page.keyboard.press("j");
assert.match(await hash(page), /step=Ship/);
await page.keyboard.press("Escape");
await page.focus(".cells");
await page.keyboard.press("Home");
await page.keyboard.press("ArrowRight");
await page.keyboard.press("Enter");
assert.match(await hash(page), /item=p2/);
await page.keyboard.press("Escape");
assert.deepEqual([await margin(0), await margin(1), await margin(2)], whole);

// The slider moves the whole page.
await page.focus("#_time input");
await page.keyboard.press("Home");
assert.equal(await text(page, ".verdict"), "at 0 ms");
assert.equal(await page.$eval("#_fails", node => node.hidden), true);
assert.match(await margin(2), /not reached yet/);
await page.evaluate(() => { const ends = JSON.parse(document.getElementById("_data").textContent).ends; location.hash = "#t=" + ends.at[ends.step.indexOf(1)]; });
await page.waitForFunction(() => document.querySelector('[data-margin="1"]').innerText.includes("succeeded"));
assert.match(await margin(1), /^1 succeeded/);
// It says what was the last, and steps through what happened.
assert.match(await text(page, "#_time .ev"), /^\d+ of \d+ changes · p\d.* \w+$/);
assert.match(await page.$eval("#_time input", node => node.getAttribute("aria-valuetext")), /^at .*: p\d.* \w+$/);
const count = async () => +(await text(page, "#_time .ev")).split(" ")[0], first = await count();
await page.keyboard.press(".");
assert.ok(await count() > first);
await page.keyboard.press(",");
assert.ok(await count() <= first);
await page.focus("#_time input");
await page.keyboard.press("End");
assert.deepEqual([await margin(0), await margin(1), await margin(2)], whole);

assert.equal(await text(page, ".verdict"), "done with failures");
assert.match(await text(page, "#_fails"), /^3 items failed, 2 causes no step was changed since \w+, the last run without a failure 1 of them succeeded in \w+ 2 × Ship /);

// The rail joins the headings, and the figures have a plot a step.
assert.ok((await page.$$(".lines path.taken")).length >= 1);
assert.equal((await page.$$(".lines use")).length, 3);
await page.keyboard.press("g");
assert.equal((await page.$$("#_figures tbody tr")).length, 3);
assert.ok((await page.$$("#_figures svg.plot")).length >= 2);
await accessible(page, "figures");
await page.keyboard.press("r");
assert.deepEqual(await page.$$eval("#_graph [data-node]", nodes => nodes.map(node => node.getAttribute("class").match(/s-\w+/)[0])), ["s-ok", "s-bad", "s-comp"]);
await accessible(page, "graph");
await page.keyboard.press("g");
await readable(page, "figures");

// Beside the run before it.
await page.keyboard.press("c");
assert.equal(await page.evaluate(() => document.body.dataset.view), "compare");
assert.match(await text(page, "#_compare"), /^Compared with \w+ .* 1 item failed here and succeeded there: p2 /);
await accessible(page, "compare");
await readable(page, "compare");
await page.click("#_compare a[href='#item=p2']");
assert.match(await hash(page), /^#item=p2$/);
assert.match(await text(page, "#_drawer"), /^Item p2 /);
await page.keyboard.press("Escape");

// The timeline: a row an item, then a row a step.
await page.keyboard.press("t");
assert.equal((await page.$$("#_timeline .row")).length, 1 + 5);
await accessible(page, "timeline");
await readable(page, "timeline");
await page.goto("file://" + parcels + "#view=timeline&item=p2");
assert.match(await text(page, "#_timeline"), /^Timeline of p2/);
assert.equal((await page.$$("#_timeline .row")).length, 1 + 3);
assert.ok((await page.$$("#_timeline .crit")).length >= 2);
await page.keyboard.press("?");
assert.ok(await page.$("dialog[open]"));
await page.keyboard.press("Escape");

// Small and dark.
const small = await open(parcels, "#step=Ship", 390);
await small.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
await accessible(small, "small and dark");
await readable(small, "small and dark");
const asks = await open(gate, "", 1024);
assert.match(await asks.title(), /^\(1\) waiting: Pay · /);
await accessible(asks, "gate");
await asks.click(".need .ask a");
assert.match(await hash(asks), /item=1&gate=Refund/);
assert.ok(await asks.$(".need.here"));
// What is structured folds, by keyboard, and its numbers stay as they are.
await asks.waitForSelector("#_drawer .tree");
assert.match(await text(asks, "#_drawer .tree"), /^\{ "lines": \[ \{ "sku": "a", "price": 1\.50 \}, \{ "sku": "b", "price": 2 \} \], "by": "\{" \}$/);
assert.equal((await asks.$$("#_drawer .tree details")).length, 4);
await asks.focus("#_drawer .tree details details summary");
await asks.keyboard.press("Enter");
assert.doesNotMatch(await text(asks, "#_drawer .tree"), /sku/);
await accessible(asks, "tree");
await readable(asks, "tree");
assert.equal(await page.evaluate(() => window.pwned), undefined);

await browser.close();
assert.deepEqual(faults, []);
console.log("all is well");
