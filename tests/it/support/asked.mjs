// Answers what an agent asks on the page of its run in Chromium, with the keyboard. Prints what is wrong.
import assert from "node:assert/strict";
import { accessible, browser, faults, readable, text } from "./browser.mjs";

const [, , , , link, run] = process.argv;
const page = await browser.newPage();
await page.setViewport({ width: 1440, height: 900 });
page.on("pageerror", error => faults.push("error: " + error.message));
page.on("console", message => { if (message.type() === "error") faults.push("console: " + message.text()); });
const until = (what, ...args) => page.waitForFunction(what, { timeout: 60000, polling: 50 }, ...args);
const seen = words => until(words => (document.querySelector("#_needs")?.innerText || "").replace(/\s+/g, " ").includes(words), words);

await page.goto(link);
await page.goto(new URL(run, link).href);
await seen("Fix @coder asks permission to edit a.txt");
assert.match(await page.title(), /^\(1\) /);
await until(() => document.querySelector("#_running").innerText.includes("asks a person"));
await accessible(page, "question");
await readable(page, "question");

// Enter in the note answers nothing; the button does, and the next question appears by itself.
await page.keyboard.press("n");
await until(() => document.activeElement.innerText === "Allow once");
await page.keyboard.down("Shift");
await page.keyboard.press("Tab");
await page.keyboard.up("Shift");
await page.keyboard.type("it is fine");
await page.keyboard.press("Enter");
await until(() => document.querySelector("#_needs .said").innerText === "choose Allow once or Reject" && document.activeElement.innerText === "Allow once");
await page.keyboard.press("Enter");
await seen("permission to execute a.txt");
await page.keyboard.press("n");
await page.keyboard.press("Tab");
await until(() => document.activeElement.innerText === "Reject");
await page.keyboard.press("Enter");
await until(() => !document.querySelector("#_needs"));
await until(() => document.querySelector(".verdict").innerText.includes("done"));
assert.doesNotMatch(await text(page, "#_facts"), /not connected/);

await browser.close();
assert.deepEqual(faults, []);
console.log("all is well");
