#include "sweep/results/page.h"

namespace trireme {

std::string_view script_timeline() {
  return R"js(
// Times of the sweep leave out what lies between a stop and the next start.
const running = (() => {
  const merged = [];
  for (const [, , begin, end] of [...D.starts].sort((a, b) => a[2] - b[2])) {
    const last = merged[merged.length - 1];
    if (last && begin <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([begin, end]);
  }
  return merged;
})();
function sweepTime(seconds) {
  let sum = 0;
  for (const [begin, end] of running) {
    if (seconds < begin) break;
    sum += Math.min(seconds, end) - begin;
  }
  return sum;
}

function drawTimeline() {
  if (!D.spans.length) return;
  const rows = [], index = new Map();
  for (const worker of [...new Set(D.starts.map(s => s[0]))].sort((a, b) => a - b)) {
    const ranks = Math.max(...D.starts.filter(s => s[0] === worker).map(s => s[1]));
    for (let r = 0; r < ranks; ++r) { index.set(worker + ':' + r, rows.length); rows.push([worker, r]); }
  }
  const several = new Set(rows.map(r => r[0])).size > 1;
  const c = card(D.objectives.length > 1 ? 'full' : 'half', 'Ranks at work', `A box a trial on its ranks, ${(100 * D.utilisation).toFixed(1)} % of the time of all ranks.` +
                 (running.length > 1 ? ' Dashed: the sweep was stopped there and started again.' : ''));
  stateLegend(c.section.insertBefore(document.createElement('div'), c.plot));
  const each = Math.max(1.5, Math.min(44, 320 / rows.length));
  const p = plotIn(c.plot, each * rows.length + 64, { left: several ? 74 : 62, right: 14, top: 8, bottom: 44 });
  const whole = running.reduce((sum, [a, b]) => sum + b - a, 0) || 1;
  const x = scaleOf(0, whole, p.left, p.right, false, p.width / 90);
  axisX(p, x, 'time of the sweep, h:mm:ss', clock);
  const every = Math.ceil(13 / each);
  rows.forEach(([worker, r], i) => {
    if (i % every === 0) {
      draw(p.svg, 'text', { x: p.left - 6, y: p.top + (i + 0.5) * each + 4, 'text-anchor': 'end' },
           several ? `${worker} / rank ${r}` : `rank ${r}`);
    }
  });
  for (const [n, worker, ranks, begin, end, how] of D.spans) {
    const from = x(sweepTime(begin)), width = Math.max(0.7, x(sweepTime(end)) - from);
    // Ranks that follow each other are one box.
    for (let i = 0; i < ranks.length;) {
      let k = i + 1;
      while (k < ranks.length && ranks[k] === ranks[k - 1] + 1) ++k;
      const row = index.get(worker + ':' + ranks[i]);
      if (row !== undefined) {
        draw(p.svg, 'rect', { class: 'span ' + how, 'data-t': n, x: from, width, y: p.top + row * each + 0.5,
                              height: Math.max(1, (k - i) * each - 1), rx: Math.min(2, width / 3) });
      }
      i = k;
    }
  }
  let sum = 0;
  for (const [begin, end] of running.slice(0, -1)) {
    sum += end - begin;
    draw(p.svg, 'line', { class: 'axis', 'stroke-dasharray': '4 3', x1: x(sum), x2: x(sum), y1: p.top, y2: p.bottom });
  }
}
)js";
}

}  // namespace trireme
