#include "sweep/results/page.h"

namespace trireme {

// Colours are variables, so that a theme is a list of them. q0 ... q8: from the best trials to the worst, by
// brightness too (viridis, from its dark end on white and from its bright end on black); o0 ... o4: from the
// first trials to the last.
std::string_view page_style() {
  return R"css(
:root { --bg: #f4f5f7; --card: #fff; --ink: #1c2128; --soft: #5c6672; --line: #d6dbe1; --grid: #eceff2;
  --accent: #d9480f; --bar: #3b6fb6; --bar2: #9db8d9; --finished: #2b7a78; --stopped: #8b96a5; --failed: #c92a2a;
  --running: #e08e0b; --paused: #7e57c2; --waiting: #b4bcc6; --shadow: 0 1px 3px #0000001f;
  --q0: #440154; --q1: #472d7b; --q2: #3b528b; --q3: #2c728e; --q4: #21918c; --q5: #4fb58a; --q6: #8fcf78;
  --q7: #c3dc6c; --q8: #e6dc7a; --o0: #c6d7ee; --o1: #93b4de; --o2: #5f8fcb; --o3: #3668ab; --o4: #153e75; }
:root[data-theme=dark] { --bg: #14171b; --card: #1d2126; --ink: #e4e8ec; --soft: #98a3b0; --line: #373e47;
  --grid: #292f36; --accent: #ff8c42; --bar: #5b95e0; --bar2: #3d5a80; --finished: #4fb6ac; --stopped: #7b8794;
  --failed: #ef6461; --running: #f2b134; --paused: #a98ce0; --waiting: #4c5662; --shadow: 0 1px 3px #00000080;
  --q0: #fde725; --q1: #b5de2b; --q2: #6ece58; --q3: #35b779; --q4: #1f9e89; --q5: #26828e; --q6: #35618d;
  --q7: #414487; --q8: #543a70; --o0: #24466f; --o1: #35679f; --o2: #4f8acb; --o3: #86b4ea; --o4: #cfe2fb; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 14px/1.45 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 14px; max-width: 1560px; margin: 0 auto;
  padding: 18px 20px 4px; }
h1 { font-size: 22px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 15px; margin: 0; }
.badge { padding: 1px 10px; border-radius: 10px; color: #fff; background: var(--stopped); font-size: 12px; }
.badge.running { background: var(--running); } .badge.finished { background: var(--finished); }
.soft { color: var(--soft); }
.grow { flex: 1; }
button, select, input { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; padding: 2px 9px; }
button { cursor: pointer; } button:hover { border-color: var(--soft); }
.choice button { border-radius: 0; margin-left: -1px; } .choice button:first-child { border-radius: 6px 0 0 6px; }
.choice button:last-child { border-radius: 0 6px 6px 0; }
.choice button.on { background: var(--bar); border-color: var(--bar); color: #fff; }
:root[data-theme=dark] .choice button.on { color: #10141a; }
main { display: grid; grid-template-columns: repeat(12, minmax(0, 1fr)); gap: 14px; max-width: 1560px;
  margin: 0 auto; padding: 10px 20px 90px; }
.card { grid-column: span 12; background: var(--card); border-radius: 10px; box-shadow: var(--shadow);
  padding: 14px 16px; min-width: 0; }
.card > .top { display: flex; flex-wrap: wrap; gap: 6px 12px; align-items: baseline; margin-bottom: 8px; }
.card > .top p { margin: 0; color: var(--soft); font-size: 12.5px; flex: 1 1 240px; }
@media (min-width: 1000px) { .wide { grid-column: span 8; } .narrow { grid-column: span 4; }
  .half { grid-column: span 6; } }
.tiles { grid-column: span 12; display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr));
  gap: 14px; }
.tile { background: var(--card); border-radius: 10px; box-shadow: var(--shadow); padding: 10px 16px; min-width: 0; }
.tile .name { color: var(--soft); font-size: 12.5px; } .tile .figure { font-size: 24px; font-weight: 600; }
.tile .more { color: var(--soft); font-size: 12.5px; overflow-wrap: anywhere; }
.meter { height: 5px; border-radius: 3px; background: var(--grid); margin: 4px 0; overflow: hidden; }
.meter i { display: block; height: 100%; background: var(--bar); }
.warning { grid-column: span 12; border-left: 4px solid var(--failed); background: var(--card); padding: 8px 14px; }
svg { display: block; width: 100%; overflow: visible; }
svg text { fill: var(--soft); font-size: 11.5px; } svg text.name { fill: var(--ink); }
svg text.title { fill: var(--soft); font-size: 12px; }
.grid { stroke: var(--grid); } .frame { stroke: var(--line); fill: none; }
.best { stroke: var(--accent); stroke-width: 2; fill: none; }
.q0 { --c: var(--q0); } .q1 { --c: var(--q1); } .q2 { --c: var(--q2); } .q3 { --c: var(--q3); }
.q4 { --c: var(--q4); } .q5 { --c: var(--q5); } .q6 { --c: var(--q6); } .q7 { --c: var(--q7); }
.q8 { --c: var(--q8); } .qx { --c: var(--failed); }
.o0 { --c: var(--o0); } .o1 { --c: var(--o1); } .o2 { --c: var(--o2); } .o3 { --c: var(--o3); }
.o4 { --c: var(--o4); }
.finished { --c: var(--finished); } .stopped { --c: var(--stopped); } .failed { --c: var(--failed); }
.running { --c: var(--running); } .paused { --c: var(--paused); } .waiting { --c: var(--waiting); }
.interrupted, .lost, .crashed { --c: var(--waiting); }
[data-t] { cursor: pointer; }
.dot { fill: var(--c); stroke: var(--card); stroke-width: .6; } .ring { fill: none; stroke: var(--c); stroke-width: 1.5; }
.cross { stroke: var(--c); stroke-width: 1.6; fill: none; }
.path { fill: none; stroke: var(--c); stroke-width: 1.2; opacity: .7; }
.span { fill: var(--c); stroke: var(--card); stroke-width: .5; }
.out { opacity: .06 !important; } tr.out { display: none; }
.hot.path { stroke-width: 3.5; opacity: 1 !important; } .hot.dot, .hot.span { stroke: var(--ink); stroke-width: 2; }
.hot.ring { stroke-width: 3.5; } .hot.cross { stroke-width: 3.5; } tr.hot td { background: var(--grid); }
.many .path { opacity: .4; stroke-width: 1; } .many .path.q0, .many .path.q1 { opacity: .85; }
svg text.halo { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 4px; stroke-linejoin: round; }
.axis { stroke: var(--soft); } .brush { fill: var(--accent); fill-opacity: .25; stroke: var(--accent); }
.strip { fill: transparent; cursor: ns-resize; touch-action: none; }
.legend { margin-bottom: 6px; display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 12.5px; color: var(--soft); }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 5px; background: var(--c);
  margin-right: 5px; }
.ramp { display: inline-flex; align-items: center; gap: 0; font-size: 12.5px; color: var(--soft); }
.ramp i { width: 14px; height: 9px; background: var(--c); } .ramp span { margin: 0 6px; }
.bars { display: grid; grid-template-columns: minmax(80px, 42%) 1fr 58px; gap: 5px 10px; align-items: center; }
.bars .key { overflow-wrap: anywhere; font-size: 12.5px; } .bars .number { text-align: right; }
.track { position: relative; height: 15px; } .track i { position: absolute; inset: 0 auto 0 0; border-radius: 3px;
  background: var(--bar); } .track.pair i { background: var(--bar2); }
.track b { position: absolute; top: 7px; height: 1px; background: var(--ink); }
.bars h3 { grid-column: 1 / -1; margin: 8px 0 0; font-size: 12.5px; color: var(--soft); font-weight: 500; }
.slices { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 14px 20px; }
.scroll { overflow: auto; max-height: 560px; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: 12.5px; }
th { position: sticky; top: 0; background: var(--card); border-bottom: 1px solid var(--line); text-align: left;
  padding: 6px 9px; cursor: pointer; white-space: nowrap; font-weight: 600; }
th .table-of { display: block; color: var(--soft); font-weight: 400; font-size: 11px; }
td { padding: 3px 9px; border-bottom: 1px solid var(--grid); white-space: nowrap; }
td.number, th.number { text-align: right; } td.reason { white-space: normal; min-width: 180px; }
td .swatch { display: inline-block; width: 8px; height: 8px; border-radius: 4px; background: var(--c);
  margin-right: 6px; }
#tip { position: fixed; z-index: 5; pointer-events: none; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; box-shadow: 0 4px 14px #00000040; padding: 8px 11px; font-size: 12.5px; max-width: 420px;
  display: none; }
#tip b, #pin b { font-weight: 600; } #tip dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 12px;
  margin: 4px 0 0; } #tip dt { color: var(--soft); } #tip dd { margin: 0; overflow-wrap: anywhere; }
#pin { position: fixed; z-index: 4; left: 0; right: 0; bottom: 0; background: var(--card);
  border-top: 2px solid var(--accent); padding: 8px 20px; display: none; font-size: 13px; gap: 14px;
  align-items: center; }
#pin code { overflow-wrap: anywhere; user-select: all; font-size: 12px; }
)css";
}

std::string_view page_body() {
  return R"html(
<header><h1 id="name"></h1><span class="badge" id="state"></span><span class="soft" id="what"></span>
<span class="grow"></span><span id="controls"></span></header>
<main id="main"></main>
<div id="tip"></div><div id="pin"></div>
<noscript>This page draws itself by a script of its own; without it there is nothing to see.</noscript>
)html";
}

}  // namespace trireme
