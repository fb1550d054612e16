// A browser for the tests of pages, and what each page must be. The arguments begin with the folder of packages and Chromium.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [, , parts, executablePath] = process.argv;
const require = createRequire(parts + "/package.json");
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const browser = await puppeteer.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
export const faults = [];
export const text = (page, selector) => page.$eval(selector, node => node.innerText.replace(/\s+/g, " ").trim());
export const hash = page => page.evaluate(() => decodeURIComponent(location.hash));
export async function accessible(page, what) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const one of found.violations) faults.push(`${what}: ${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map(node => node.html.slice(0, 160) + " " + node.any.concat(node.all).map(check => check.message).join(" ")).join(" | ")}`);
}
export async function readable(page, what) {
  const small = await page.evaluate(() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), small = [];
    while (walker.nextNode()) {
      const node = walker.currentNode.parentElement;
      if (walker.currentNode.data.trim() && !node.closest("script,style") && node.checkVisibility() && parseFloat(getComputedStyle(node).fontSize) < 13) small.push(walker.currentNode.data.trim().slice(0, 40));
    }
    return small;
  });
  if (small.length) faults.push(`${what}: text below 13 px: ${small.slice(0, 5).join(", ")}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) faults.push(`${what}: ${wide} px wider than the window`);
}
