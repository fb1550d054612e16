// Follows an active run on its page in Chromium, and decides at its gate with the keyboard. Prints what is wrong.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { accessible, browser, faults, readable, text } from "./browser.mjs";

const [, , , , link, go] = process.argv;
const page = await browser.newPage();
await page.setViewport({ width: 1440, height: 900 });
let whole = 0, followed = 0;
page.on("pageerror", error => faults.push("error: " + error.message));
page.on("console", message => { if (message.type() === "error") faults.push("console: " + message.text()); });
page.on("request", request => { if (/\/runs\/[^/]+$/.test(request.url())) whole += 1; if (/\/events\?after=\d+$/.test(request.url()) && request.resourceType() === "eventsource") followed += 1; });
const until = (what, ...args) => page.waitForFunction(what, { timeout: 60000, polling: 50 }, ...args);
const seen = (selector, words) => until((selector, words) => (document.querySelector(selector)?.innerText || "").replace(/\s+/g, " ").includes(words), selector, words);
const focus = () => page.evaluate(() => { const active = document.activeElement, need = active.closest(".need"); return [need ? need.querySelector(".ask a").innerText : null, active.innerText || active.name || active.id]; });

// Waits until the page has come so far: after an event it is fetched, put in place, and given back its focus.
const becomes = async (holds, ask) => {
  const end = Date.now() + 60000;
  for (;;) {
    try { return holds(await ask()); } catch (wrong) { if (Date.now() > end) throw wrong; }
    await new Promise(done => setTimeout(done, 50));
  }
};
const focused = expected => becomes(got => assert.deepEqual(got, expected), focus);

// The list of runs, with the token that becomes a cookie; its link leads to the page of the run.
await page.goto(link);
assert.equal(page.url().includes("token"), false);
await seen("main", "running");
await accessible(page, "list");
await readable(page, "list");
await Promise.all([page.waitForNavigation(), page.locator("tbody a").click()]);

// What runs, with its last words, which no event announces.
await seen("#_running", "3 steps run");
await seen("#_running", "p1 Weigh weighing the vase");
assert.equal(await text(page, ".verdict"), "running");
assert.equal(await page.$("#_fails"), null);
await accessible(page, "running");
await readable(page, "running");

// The run continues: the failure and the items that wait appear by themselves.
whole = 0;
writeFileSync(go, "");
await seen("#_needs", "2 items wait for a person");
await seen("#_fails", "1 item failed");
await until(() => document.querySelector("#_running").hidden);
await becomes(got => assert.match(got, /1 × Weigh exited with 65 .*weighing the stone it is too heavy.*p2 was given parcel stone/), () => text(page, "#_fails"));
await becomes(got => assert.match(got, /^\(2\) /), () => page.title());
assert.equal(followed, 1);
await accessible(page, "waiting");
await readable(page, "waiting");

// A page is taken as a whole only after an event.
await until(() => document.querySelector("#_counts").innerText.includes("2 waiting for a person"));
await becomes(([settled, later]) => assert.equal(later, settled), async () => {
  const settled = whole;
  await page.evaluate(() => new Promise(done => setTimeout(done, 1500)));
  return [settled, whole];
});

// The keyboard: to the first item that waits, a note, and its decision. Enter in the note decides nothing.
await page.keyboard.press("n");
await focused(["p1", "Approve as ops"]);
await page.keyboard.down("Shift");
await page.keyboard.press("Tab");
await page.keyboard.up("Shift");
await page.keyboard.type("it looks right");
await page.keyboard.press("Enter");
await becomes(got => assert.match(got, /choose Approve or Reject/), () => text(page, ".need form .said"));
await focused(["p1", "Approve as ops"]);
await page.keyboard.press("Enter");
await seen("#_needs", "1 item waits for a person");
// The focus is at the next decision, and not at the beginning of the page.
await focused(["Sign", "Approve as ops"]);
await page.keyboard.press("Tab");
await page.keyboard.press("Enter");
await until(() => !document.querySelector("#_needs"));
await seen(".verdict", "done with failures");
await becomes(got => assert.match(got, /^1 succeeded, 2 failed$/), () => text(page, "#_counts"));
await becomes(got => assert.equal(got[1].length > 0, true), focus);
await until(() => document.querySelector("#_fails form"));
await accessible(page, "done");

// A failed item is retried with another input, by the keyboard.
await page.evaluate(() => { location.hash = "item=p2"; });
await until(() => document.querySelector("form.act .edit"));
await page.evaluate(() => document.querySelector("form.act .edit").focus());
await page.keyboard.press("Enter");
await until(() => document.activeElement.name === "parcel" && document.activeElement.value === "stone");
await accessible(page, "edit");
await readable(page, "edit");
await page.keyboard.down("Control");
await page.keyboard.press("A");
await page.keyboard.up("Control");
await page.keyboard.type("pebble");
await page.keyboard.press("Tab");
await page.keyboard.press("Enter");
await seen("#_needs", "1 item waits for a person");
await seen("#_counts", "1 waiting for a person");

await browser.close();
assert.deepEqual(faults, []);
console.log("all is well");
