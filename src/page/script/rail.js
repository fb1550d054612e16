// The rail: a lane for each branch, from heading to heading; and the graph in the same colours.
const stateOf = step => { const margin = document.querySelector('[data-margin="' + step + '"]'); return margin ? margin.className.replace(/.*m-/, "") : "none"; };
function drawGraph() {
  for (const node of document.querySelectorAll("#_graph [data-node]")) {
    const step = +node.dataset.node, name = stateOf(step), box = node.querySelector("rect");
    node.setAttribute("class", node.getAttribute("class").replace(/ (s-\w+|chosen)/g, "") + " s-" + name + (D.steps[step].phase === S.step ? " chosen" : ""));
    const old = node.querySelector(".badge"), x = +box.getAttribute("x"), y = +box.getAttribute("y");
    if (old) old.remove();
    node.append(sv("svg", { x: x - 8, y: y - 8, width: 16, height: 16, viewBox: "0 0 16 16", class: "badge g g-" + (["ok", "bad", "comp", "run", "wait", "stop", "skip"].includes(name) ? name : "none") }, sv("circle", { cx: 8, cy: 8, r: 8, class: "under" }), sv("use", { href: "#_g-" + name })));
  }
  for (const edge of document.querySelectorAll("#_graph [data-from]")) {
    const [from, to] = [stateOf(+edge.dataset.from), stateOf(+edge.dataset.to)];
    edge.classList.toggle("taken", from !== "none" && to !== "none" && (!edge.classList.contains("by") || to === "comp" || to === "bad"));
  }
}
function drawRail() {
  if (body.dataset.view === "graph") drawGraph();
  const doc = $("_doc"), first = doc.querySelector(".rail");
  const old = doc.querySelector(".lines");
  if (old) old.remove();
  if (!first || !first.offsetWidth || body.dataset.view !== "document") return;
  const frame = doc.getBoundingClientRect(), places = new Map();
  let right = 0;
  for (const section of doc.querySelectorAll(".step[data-step]")) {
    const box = section.querySelector("h1,h2,h3,h4,h5,h6").getBoundingClientRect(), rail = section.querySelector(".rail").getBoundingClientRect();
    const line = parseFloat(getComputedStyle(section.querySelector("h1,h2,h3,h4,h5,h6")).lineHeight) || box.height;
    right = rail.right - frame.left - 12;
    places.set(+section.dataset.step, box.top - frame.top + Math.min(line, box.height) / 2);
  }
  const x = lane => right - lane * Math.min(14, (first.offsetWidth - 20) / 6);
  const state = stateOf, ran = step => state(step) !== "none";
  const svg = sv("svg", { class: "lines", "aria-hidden": "true", width: right + 20, height: doc.offsetHeight });
  for (const edge of D.rail.edges) {
    if (!places.has(edge.from) || !places.has(edge.to)) continue;
    const [top, low] = [edge.from, edge.to].sort((a, b) => places.get(a) - places.get(b));
    const y1 = places.get(top), y2 = places.get(low), x1 = x(D.rail.lanes[top]), x2 = x(D.rail.lanes[low]), via = x(edge.lane);
    const taken = ran(edge.from) && ran(edge.to) && (!edge.compensates || state(edge.to) === "comp" || state(edge.to) === "bad");
    if (edge.compensates && !taken) continue;
    const bend = Math.min(34, (y2 - y1) / 2);
    const path = "M" + x1 + " " + y1 + (x1 === via ? "" : "C" + x1 + " " + (y1 + bend * .7) + " " + via + " " + (y1 + bend * .3) + " " + via + " " + (y1 + bend)) + "L" + via + " " + (y2 - bend) + (x2 === via ? "L" + x2 + " " + y2 : "C" + via + " " + (y2 - bend * .3) + " " + x2 + " " + (y2 - bend * .7) + " " + x2 + " " + y2);
    svg.append(sv("path", { d: path, class: edge.compensates ? "undo" : taken ? "taken" : null }));
  }
  for (const [step, y] of places) {
    const at = x(D.rail.lanes[step]), name = { ok: "ok", bad: "bad", comp: "comp", run: "run", wait: "wait", stop: "stop", skip: "skip" }[state(step)] || "none";
    svg.append(sv("circle", { cx: at, cy: y, r: 9, class: "under" }), sv("svg", { x: at - 8, y: y - 8, width: 16, height: 16, viewBox: "0 0 16 16", class: "g g-" + name }, sv("use", { href: "#_g-" + name })));
  }
  doc.prepend(svg);
}
