package report

// sheet is the page's style. Text keeps a contrast of 4.5 on its ground in both
// themes, marks one of 3 (a test computes them).
const sheet = `:root {
  --ground: #ffffff; --surface: #f3f5f7; --line: #868f98; --text: #16202a; --muted: #4a5865;
  --one: #0a5cb8; --two: #7d5200; --three: #b3201f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e1318; --surface: #161c23; --line: #6b7885; --text: #e7ecf1; --muted: #a3b0bd;
    --one: #7ab8ff; --two: #f2b84b; --three: #ff8080;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 1.5rem; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
p { margin: 0.25rem 0; }
.muted, caption { color: var(--muted); }
caption { text-align: left; padding: 0 0 0.4rem; }
table { border-collapse: collapse; }
th, td { padding: 0.15rem 0.7rem 0.15rem 0; text-align: left; font-weight: 400; vertical-align: top; }
thead th { font-weight: 600; border-bottom: 1px solid var(--line); }
.n { text-align: right; white-space: nowrap; }
th { white-space: nowrap; }
.scroll { overflow: auto; }
.figure { display: grid; grid-template-columns: minmax(18rem, 3fr) minmax(12rem, 2fr); gap: 1.5rem; align-items: start; }
.figure .scroll { max-height: 22rem; }
@media (max-width: 44rem) { .figure { grid-template-columns: 1fr; } }
svg { width: 100%; height: auto; background: var(--surface); color: var(--text); }
svg text { fill: var(--text); font: 11px system-ui, "DejaVu Sans", sans-serif; }
.axis { stroke: var(--line); }
.one { stroke: var(--one); } .two { stroke: var(--two); } .three { stroke: var(--three); }
.bar { fill: var(--one); }
.late { fill: var(--three); }
.target { stroke: var(--two); stroke-dasharray: 4 3; }
pre { overflow: auto; background: var(--surface); padding: 0.7rem; }
:focus-visible { outline: 3px solid var(--one); outline-offset: 2px; }
@media print { .scroll { max-height: none !important; overflow: visible; } }
`
