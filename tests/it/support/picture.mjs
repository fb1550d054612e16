// Draws a page of a run as the picture in docs/, an SVG around a small image:
//   node tests/it/support/picture.mjs target/chrome page.html '#item=order_021&step=ProcessPayment' docs/page.svg
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [, , parts, file, hash, target] = process.argv;
const puppeteer = createRequire(resolve(parts, "package.json"))("puppeteer-core");
const [width, height] = [1360, 860];
const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", headless: true, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage();
await page.setViewport({ width, height });
await page.goto("file://" + resolve(file) + hash);
const image = await page.screenshot({ type: "webp", quality: 70, encoding: "base64" });
await browser.close();
writeFileSync(target, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"><image width="${width}" height="${height}" href="data:image/webp;base64,${image}"/></svg>\n`);
