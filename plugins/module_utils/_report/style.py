# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The style sheet of the report page: light, dark and print, without any resource from elsewhere."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f7f6f3; --card: #ffffff; --ink: #1c2430; --soft: #5b6675; --rule: #e3e2dd; --wash: #f1f0ec;
  --passed: #1d7458; --failed: #b0342b; --void: #8a6410; --missed: #7145a0; --refused: #5b6675;
  --limit: #cfdeef; --limit-edge: #86a6c9; --measured: #1f4e7f; --ok: #8fb3a6; --slow: #d09a2b; --fault: #b0342b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #11151b; --card: #181e26; --ink: #e3e7ed; --soft: #97a3b3; --rule: #2a323d; --wash: #1f2630;
    --passed: #62c9a1; --failed: #f2877d; --void: #dfb95a; --missed: #c0a0ea; --refused: #97a3b3;
    --limit: #283f5b; --limit-edge: #4f76a3; --measured: #9cc8f7; --ok: #4f7f70; --slow: #d9a943; --fault: #f2877d;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink); font-variant-numeric: tabular-nums;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
}
main { max-width: 1280px; margin: 0 auto; padding: 40px 28px 80px; }
a { color: inherit; text-decoration-color: var(--limit-edge); text-underline-offset: 3px; }
h1, h2, h3, h4, p, ul, ol, dl, dd { margin: 0; }
ul, ol { padding-left: 1.2em; }
h1 { font-size: 34px; line-height: 1.15; font-weight: 650; letter-spacing: -0.02em; text-wrap: balance; }
h2 { font-size: 21px; font-weight: 650; letter-spacing: -0.01em; margin: 52px 0 14px; }
h3 { font-size: 20px; font-weight: 650; letter-spacing: -0.01em; }
h4 { font-size: 13px; font-weight: 650; color: var(--soft); margin: 26px 0 8px; }
small, .soft { color: var(--soft); }
small { font-size: 12.5px; }
code { font: 12.5px/1.5 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.eyebrow { color: var(--soft); margin-bottom: 10px; }
.lead { color: var(--soft); margin-top: 10px; max-width: 78ch; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; }
.scroll { overflow-x: auto; }

.tally { display: flex; gap: 3px; height: 12px; margin: 26px 0 12px; }
.tally span { border-radius: 3px; background: currentColor; }
.counts { display: flex; flex-wrap: wrap; gap: 6px 26px; list-style: none; padding: 0; }
.counts b { font-size: 18px; font-weight: 650; margin-right: 5px; }
.none { color: var(--soft); opacity: 0.75; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 14px; margin-top: 28px; }
.figures > div { padding: 16px 18px; }
.figures dt { color: var(--soft); font-size: 13px; }
.figures dd { font-size: 24px; font-weight: 600; letter-spacing: -0.01em; line-height: 1.3; }
.figures small { display: block; font-weight: 400; letter-spacing: 0; }
.whole { white-space: nowrap; }

.facts { display: grid; grid-template-columns: max-content 1fr; gap: 4px 22px; }
.facts dt { color: var(--soft); }
.facts dd { overflow-wrap: anywhere; }
.environment { padding: 16px 20px; margin-top: 14px; font-size: 14px; }

.attention { padding: 6px 20px; list-style: none; }
.attention li { display: grid; grid-template-columns: 92px 1fr; gap: 4px 14px; padding: 12px 0; }
.attention li + li { border-top: 1px solid var(--rule); }
.attention.long li { grid-template-columns: 172px 1fr; }
.attention a { font-weight: 600; }

.passed { color: var(--passed); } .failed { color: var(--failed); } .void { color: var(--void); }
.missed { color: var(--missed); } .refused { color: var(--refused); }
.badge {
  display: inline-block; border: 1.5px solid currentColor; border-radius: 99px; padding: 0 10px;
  font-size: 13px; font-weight: 600; line-height: 21px; white-space: nowrap; align-self: start; justify-self: start;
}
.badge.void, .badge.missed { border-style: dashed; }
.badge.refused { border-style: dotted; }

table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 500; font-size: 12.5px; color: var(--soft); vertical-align: bottom; }
th, td { padding: 9px 12px; border-bottom: 1px solid var(--rule); }
td { vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { padding-left: 20px; }
th:last-child, td:last-child { padding-right: 20px; }
tr.open > td { border-bottom: 0; padding-bottom: 0; }
tr.open + tr > td { padding-top: 4px; }
tr.open + tr details { margin-top: 0; }
.number { text-align: right; white-space: nowrap; }
td small { display: block; line-height: 1.4; }
.overview th, .overview td { padding-left: 9px; padding-right: 9px; }
.overview td { line-height: 1.35; }
.overview .name { min-width: 200px; }
.overview .name a { font-weight: 600; text-decoration: none; }
.overview .name a:hover { text-decoration: underline; }
.overview .measure { min-width: 200px; }
.probe { min-width: 230px; }
.alarm { color: var(--failed); font-weight: 650; }

.key { display: flex; flex-wrap: wrap; gap: 4px 22px; color: var(--soft); font-size: 13px; margin: 0 0 12px; }
.key span { display: inline-flex; align-items: center; gap: 7px; }
svg { display: block; }
.key svg { flex: none; }
svg text {
  fill: var(--soft); font-size: 12px;
  paint-order: stroke; stroke: var(--card); stroke-width: 3px; stroke-linejoin: round;
}
svg .strong { fill: var(--ink); font-weight: 600; }
.track { stroke: var(--rule); stroke-width: 2; }
.limit { fill: var(--limit); stroke: var(--limit-edge); stroke-width: 1; }
.measured { fill: var(--measured); }
.measured.over { fill: var(--failed); }
.bound { stroke: var(--ink); stroke-width: 1.6; }
.flag { fill: var(--ink); }
.grid { stroke: var(--rule); stroke-width: 1; }
.trend { fill: none; stroke: var(--soft); stroke-width: 1.4; stroke-linejoin: round; }
.trend-limit { stroke: var(--limit-edge); stroke-width: 1; stroke-dasharray: 3 3; }
.now { fill: var(--measured); stroke: var(--card); stroke-width: 1.5; }
.now.over { fill: var(--failed); }

.drill { padding: 26px 28px 28px; margin-top: 22px; scroll-margin-top: 16px; }
.drill header { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 14px; }
.drill header small { margin-left: auto; }
.drill .says { font-size: 16.5px; margin-top: 8px; max-width: 80ch; text-wrap: pretty; }
.drill .reasons { margin-top: 10px; max-width: 90ch; }
.drill .facts { margin-top: 16px; font-size: 14px; }
.drill .scroll { margin: 0 -28px; padding: 0 28px; }
.drill th:first-child, .drill td:first-child { padding-left: 0; }
.drill th:last-child, .drill td:last-child { padding-right: 0; }
.drill svg.wide { width: 100%; min-width: 820px; height: auto; }
.lane { fill: var(--wash); }
.bin-ok { fill: var(--ok); } .bin-slow { fill: var(--slow); } .bin-failed { fill: var(--failed); }
.slo { stroke: var(--slow); stroke-width: 1; stroke-dasharray: 4 4; }
.fault { fill: var(--fault); opacity: 0.09; }
.fault-edge { stroke: var(--fault); stroke-width: 1.2; }
svg .fault-label { fill: var(--fault); font-weight: 600; }
.event { stroke: var(--soft); stroke-width: 1; opacity: 0.45; }
.event-head { fill: var(--soft); }
.outage { stroke: var(--failed); stroke-width: 1.4; }
.outage.certain { stroke-width: 5; }
svg .outage-label { fill: var(--failed); font-weight: 600; }
details { margin-top: 22px; }
summary { cursor: pointer; font-size: 13px; font-weight: 650; color: var(--soft); }
details table { margin-top: 8px; }
footer { color: var(--soft); font-size: 13px; margin-top: 48px; max-width: 90ch; }
footer p + p { margin-top: 8px; }

@media (max-width: 720px) {
  main { padding: 24px 14px 60px; }
  h1 { font-size: 27px; }
  .drill { padding: 20px 16px; }
  .drill .scroll { margin: 0 -16px; padding: 0 16px; }
  .attention li, .attention.long li { grid-template-columns: 1fr; }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --rule: #ccc; --wash: #f4f4f4;
    --passed: #1d7458; --failed: #b0342b; --void: #8a6410; --missed: #7145a0; --refused: #444;
    --limit: #cfdeef; --limit-edge: #86a6c9; --measured: #1f4e7f; --ok: #8fb3a6; --slow: #d09a2b; --fault: #b0342b;
  }
  @page { size: A4 landscape; margin: 12mm; }
  body { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main { max-width: none; padding: 0; zoom: 0.72; }
  .scroll { overflow: visible; }
  .drill svg.wide { min-width: 0; }
  .overview .name, .overview .measure { min-width: 0; }
  .drill { break-before: page; border: 0; padding: 0; }
  .drill .scroll { margin: 0; padding: 0; }
  tr, li, svg, .figures > div { break-inside: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""
