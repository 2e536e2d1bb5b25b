"use strict";
// Sorts tables by a click on a heading, and filters lists by a text. Without it the page is whole.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  if (body.rows.length > 2) {
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.title = "Sort";
      button.setAttribute("aria-label", "Sort by " + heading.textContent);
      heading.append("\u00a0", button);
      button.addEventListener("click", () => {
        const falls = heading.getAttribute("aria-sort") === "descending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", falls ? "ascending" : "descending");
        const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column)));
        body.append(...(falls ? rows : rows.reverse()));
      });
    });
  }
  if (table.classList.contains("filterable")) {
    const input = document.createElement("input");
    input.type = "search";
    input.className = "filter";
    input.placeholder = "Filter";
    input.setAttribute("aria-label", "Filter the rows");
    table.parentElement.before(input);
    input.addEventListener("input", () => {
      const text = input.value.toLowerCase();
      for (const row of body.rows) {
        row.hidden = !row.textContent.toLowerCase().includes(text);
      }
    });
  }
}
