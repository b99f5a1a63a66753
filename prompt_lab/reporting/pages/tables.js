// Tables can be sorted by a click on a heading, within those that were told the same, and filtered by name. All can be read without.
"use strict";
// With a space they are bytes: "500 B" is five hundred of them, and "7.0B" seven billion of anything.
const UNITS = { K: 1e3, M: 1e6, B: 1e9, " B": 1, " kB": 1e3, " MB": 1e6, " GB": 1e9 };
function figure(cell) {
  const found = cell.textContent.replace(/−/g, "-").match(/(<)?([+-]?[\d.]+)( [kMG]?B|[KMB])?/);
  return found ? Number(found[2]) * (UNITS[found[3]] || 1) - (found[1] ? 1e-9 : 0) : null;
}
function order(a, b, at, words, down) {
  const [x, y] = [a, b].map((row) => (words ? row.cells[at].textContent : figure(row.cells[at])));
  if (x === null || y === null) return (x === null) - (y === null);
  return (words ? x.localeCompare(y) : x - y) * (down ? -1 : 1);
}
for (const table of document.querySelectorAll("table")) {
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    button.title = "sort";
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const words = at === 0 || head.classList.contains("words");
      const down = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : !words;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      for (const body of table.tBodies) {
        const rows = [...body.rows].filter((row) => row.cells.length > 1);
        body.append(...rows.sort((a, b) => order(a, b, at, words, down)));
      }
    });
  });
}
const filter = document.createElement("label");
filter.className = "filter";
filter.textContent = "Show paradigms whose name holds ";
const box = document.createElement("input");
box.type = "search";
filter.append(box);
document.querySelector("#scores h2").after(filter);
box.addEventListener("input", () => {
  for (const row of document.querySelectorAll("tbody tr:not(.told)")) {
    row.hidden = !row.cells[0].textContent.toLowerCase().includes(box.value.toLowerCase());
  }
});
