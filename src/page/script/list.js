// The list of runs: renewed while somebody looks at it.
(() => {
"use strict";
const ago = () => { for (const time of document.querySelectorAll("time")) time.title = new Date(time.dateTime).toLocaleString(); };
async function renew() {
  if (document.hidden) return;
  const answer = await fetch(location.pathname, { credentials: "same-origin", headers: { accept: "text/html" } }).catch(() => null);
  if (!answer || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html"), [old, now] = [document.querySelector("main"), page.querySelector("main")];
  if (!now || old.innerHTML === now.innerHTML) return;
  const held = document.activeElement && document.activeElement.getAttribute("href"), left = old.querySelector(".wide");
  const at = left ? left.scrollLeft : 0;
  document.title = page.title;
  old.replaceChildren(...now.childNodes);
  if (old.querySelector(".wide")) old.querySelector(".wide").scrollLeft = at;
  if (held) for (const link of document.links) if (link.getAttribute("href") === held) link.focus({ preventScroll: true });
}
setInterval(renew, 2000);
document.addEventListener("visibilitychange", renew);
})();
