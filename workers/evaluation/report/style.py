"""The style of the report: a light and a dark scheme, and one column on a phone."""

STYLE = """\
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c1e21; --soft: #5a6068; --faint: #8a9099; --line: #d8dce1;
  --series-1: #0b62a8; --series-2: #c2410c; --series-3: #15803d; --series-4: #7e22ce; --series-5: #a16207;
  --series-6: #0f766e; --right: 11 98 168; --wrong: 194 65 12; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e8eaed; --soft: #a9b0b8; --faint: #868e97;
  --line: #363c43; --series-1: #6db7f2; --series-2: #fb923c; --series-3: #4ade80; --series-4: #c99bff;
  --series-5: #facc15; --series-6: #2dd4bf; --right: 109 183 242; --wrong: 251 146 60; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.5rem; }
p, li { max-width: 45rem; overflow-wrap: anywhere; }
.note, figcaption, caption, small { color: var(--soft); }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: 1.5rem; }
figure { margin: 0; max-width: 30rem; }
figure h3 { font-size: 1rem; margin: 0 0 0.4rem; overflow-wrap: anywhere; }
figcaption { font-size: 0.9rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font-family: system-ui, sans-serif; }
.wide { overflow-x: auto; margin: 0.6rem 0; }
.wide:focus-visible { outline: 2px solid var(--series-1); }
table { border-collapse: collapse; font-size: 0.95rem; }
caption { text-align: left; font-size: 0.9rem; padding-bottom: 0.3rem; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; }
td { white-space: nowrap; }
.texts td { white-space: normal; }
tbody th { min-width: 8rem; max-width: 20rem; overflow-wrap: break-word; }
.texts tbody th { font-weight: 400; min-width: 14rem; max-width: 40rem; overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.confusion thead th { max-width: 9rem; overflow-wrap: break-word; vertical-align: bottom; }
.confusion tbody th { position: sticky; left: 0; background: var(--paper); max-width: 12rem; }
.confusion td { min-width: 4.5rem; border: 1px solid var(--line); }
.confusion small { display: block; color: inherit; opacity: 0.8; }
.confusion .right { background: rgb(var(--right) / calc(var(--share) * 0.45)); }
.confusion .wrong { background: rgb(var(--wrong) / calc(var(--share) * 0.6)); }
details { margin: 0.4rem 0; }
summary { cursor: pointer; color: var(--soft); }
@media print { body { max-width: none; } .plots { grid-template-columns: 1fr 1fr; } figure { break-inside: avoid; } }
"""
