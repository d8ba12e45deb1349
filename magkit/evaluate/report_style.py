"""The style sheet of a report: light and dark, on screens of any width and on paper."""

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --panel: #f5f6f8; --ink: #1b1f24;
  --quiet: #57606a; --line: #d5d9de; --accent: #0b57b0; --motion: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171a; --panel: #1e2226; --ink: #e8eaed;
  --quiet: #a3abb4; --line: #363c43; --accent: #8ab4f8; --motion: #ff9a91; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2.2rem 0 .7rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line);
  font-size: 1.15rem; }
.kind { margin: 0; color: var(--quiet); }
.verdict { margin: 1rem 0 0; padding: .8rem 1rem; background: var(--panel);
  border-left: 4px solid var(--accent); font-size: 1.05rem; overflow-wrap: anywhere; }
a { color: var(--accent); }
code { font: .85em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .25rem 1.2rem;
  margin: .6rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
figure { margin: 0 0 1.2rem; break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; background: #fff;
  border: 1px solid var(--line); border-radius: 6px; }
section > figure:not(.pair) img { width: auto; max-width: min(100%, 44rem); max-height: 48rem; }
figcaption, .note { margin: .4rem 0 0; color: var(--quiet); font-size: .88rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: .6rem; }
.pair figcaption { grid-column: 1 / -1; margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .92rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  white-space: nowrap; }
thead th { color: var(--quiet); font-weight: 600; white-space: normal; vertical-align: bottom; }
tbody th { font-weight: 500; }
.n { text-align: right; }
.noise { color: var(--quiet); }
.motion { color: var(--motion); font-weight: 600; }
li { margin: .3rem 0; }
@media (max-width: 30rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
  th, td { padding: .3rem .25rem; font-size: .78rem; }
  td { white-space: normal; }
}
@media print {
  :root { color-scheme: light; --ground: #fff; --panel: #fff; --ink: #000; --quiet: #444;
    --line: #bbb; --accent: #000; --motion: #000; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .wide { overflow: visible; }
  .pair { grid-template-columns: 1fr 1fr; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
}
"""
