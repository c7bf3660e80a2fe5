// The style and the script of a report's page: constants, of which no text of a trace is a part.
#pragma once

#include <string_view>

namespace kappascope {

// Light and dark as the reader's system has it; pictures keep the ground they were drawn for. On
// paper everything is black on white, and no page ends inside a picture or a row.
inline constexpr std::string_view kPageStyle = R"css(
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1b1f24; --quiet: #57606a; --line: #d0d7de;
  --soft: #f6f8fa; --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181d; --ink: #e6e9ed; --quiet: #a1abb6; --line: #3a434d;
  --soft: #1d232a; --link: #7cb7ff; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", "Liberation Sans", Arial, sans-serif; }
header, nav, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .8rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .5rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; }
.lead, .quiet, figcaption, .unit, nav { color: var(--quiet); }
.lead { margin: 0; overflow-wrap: anywhere; }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code, .code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .88em; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; padding: .3rem .6rem; background: var(--ground); }
nav ul { margin: .8rem 0 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.2rem; }
dl.facts { display: grid; grid-template-columns: minmax(8rem, max-content) minmax(0, 1fr); gap: .25rem 1.4rem; margin: .8rem 0; }
dl.facts dt { color: var(--quiet); }
dl.facts dd { margin: 0; overflow-wrap: anywhere; }
dl.numbers { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
dl.numbers div { display: flex; flex-direction: column-reverse; padding: .6rem 1rem; background: var(--soft);
  border: 1px solid var(--line); border-radius: 6px; min-width: 8rem; }
dl.numbers dt { color: var(--quiet); font-size: .88rem; }
dl.numbers dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  overflow-wrap: break-word; max-width: 24rem; }
thead th { vertical-align: bottom; background: var(--soft); font-weight: 600; }
.n { text-align: right; white-space: nowrap; }
thead .n { white-space: normal; }
tbody th { font-weight: 600; }
tbody tr:hover { background: var(--soft); }
.unit { display: block; font-weight: 400; font-size: .92em; }
dl.numbers .unit { display: inline; font-size: .85rem; }
th button { font: inherit; font-size: .9em; line-height: 1; color: inherit; background: none; border: 1px solid transparent; border-radius: 4px;
  padding: .1rem .25rem; margin-left: .2rem; cursor: pointer; }
th button:hover { border-color: var(--line); }
figure { margin: 0 0 .6rem; }
figure svg { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { font-size: .85rem; margin-top: .4rem; }
figcaption p { margin: .15rem 0; overflow-wrap: anywhere; }
details { margin: .5rem 0; }
summary { cursor: pointer; color: var(--link); width: fit-content; }
dl.glossary dt { font-weight: 600; margin-top: 1.3rem; overflow-wrap: anywhere; }
dl.glossary dd { margin: .2rem 0 0 1.2rem; font-size: .92rem; }
dl.glossary ul { margin: .3rem 0; padding-left: 1.1rem; }
dl.glossary dt:target, h3:target { background: var(--soft); outline: 2px solid var(--line); outline-offset: .3rem; }
footer { color: var(--quiet); font-size: .85rem; padding-top: 2rem; padding-bottom: 3rem; }
@media (max-width: 36rem) { dl.facts { grid-template-columns: minmax(0, 1fr); gap: 0; } dl.facts dd { margin-bottom: .5rem; }
  body { font-size: 15px; } }
@media print {
  :root { color-scheme: light; --ground: #fff; --ink: #000; --quiet: #333; --line: #999; --soft: #fff; --link: #000; }
  @page { margin: 16mm 14mm; }
  html { font-size: 10pt; }
  body { font-size: 1rem; }
  header, nav, main, footer { max-width: none; padding-left: 0; padding-right: 0; }
  .skip, th button, nav { display: none; }
  a { text-decoration: none; }
  .scroll { overflow: visible; break-inside: avoid; }
  table { font-size: 7.5pt; }
  th, td { padding: .15rem .4rem; }
  figure, .figure, tr, caption, dl.numbers div { break-inside: avoid; }
  thead { display: table-header-group; }
  h2, h3, h4, .glossary dt { break-after: avoid; }
  h2 { margin-top: 1.6rem; }
  footer { padding: 1rem 0 0; }
  header { padding-top: 0; }
  figure svg { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details:not([open]) { display: none; }
  dl.glossary { columns: 2; column-gap: 8mm; font-size: 7.5pt; line-height: 1.35; }
  dl.glossary dt { margin-top: .9em; }
  dl.glossary dd { margin-left: 0; font-size: 1em; }
  dl.glossary p, dl.glossary ul { margin: .1em 0; }
}
)css";

// A button in every head of a column. Numbers by their value, texts as their language orders them,
// what is missing last in either direction; rows of equal fields keep their order.
inline constexpr std::string_view kPageScript = R"js(
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "\u2195";
    button.setAttribute("aria-label", "Sort by " + head.dataset.name);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) {
        other.removeAttribute("aria-sort");
        other.querySelector("button").textContent = "\u2195";
      }
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      button.textContent = down ? "\u2193" : "\u2191";
      const key = row => {
        const cell = row.cells[column];
        if (head.dataset.kind === "number") { return "v" in cell.dataset ? Number(cell.dataset.v) : null; }
        return cell.textContent === "" ? null : cell.textContent;
      };
      const rows = [...table.tBodies[0].rows].map(row => [key(row), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) { return (a === null) - (b === null); }
        const order = typeof a === "number" ? a - b : a.localeCompare(b);
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
    head.append(button);
  });
}
)js";

}  // namespace kappascope
