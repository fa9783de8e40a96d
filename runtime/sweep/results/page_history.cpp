#include "sweep/results/page.h"

namespace trireme {

std::string_view script_history() {
  return R"js(
const margins = { left: 62, right: 14, top: 26, bottom: 38 };
function stateLegend(parent) {
  const legend = add(parent, 'div', { class: 'legend' });
  for (const state of ['finished', 'stopped', 'failed', 'running', 'paused', 'waiting']) {
    const count = T.filter(t => t.state === state).length;
    if (!count) continue;
    const item = add(legend, 'span', { class: state });
    add(item, 'i');
    item.append(`${state} ${count}`);
  }
}
function ramp(parent, name, count, first, last) {
  const legend = add(parent, 'span', { class: 'ramp' });
  add(legend, 'span', {}, first);
  for (let i = 0; i < count; ++i) add(legend, 'i', { class: name + i });
  add(legend, 'span', {}, last);
}

// When a trial ended, in seconds that the sweep ran.
const endOf = (() => {
  const ends = new Map();
  for (const [n, , , , end] of D.spans) ends.set(n, Math.max(ends.get(n) || 0, end));
  return t => ends.has(t.n) ? sweepTime(ends.get(t.n)) : null;
})();

function drawHistory() {
  const c = card('wide', 'History', `${objective().metric} of each trial, and the best so far. ` +
                 'Arrows: beyond the range. Failed trials without a score stand at the edge.');
  choose(c.top, [['trial', 'by trial'], ['time', 'by time']], S.history, v => { S.history = v; drawAll(); });
  stateLegend(c.section.insertBefore(document.createElement('div'), c.plot));
  const shown = T.filter(t => ok(score(t)) || t.state === 'failed');
  const byTime = S.history === 'time', xOf = t => byTime ? endOf(t) : t.n;
  const p = plotIn(c.plot, 330, margins);
  const last = Math.max(1, ...shown.map(t => xOf(t) || 0));
  const x = scaleOf(0, last, p.left, p.right - 6, false, p.width / 90);
  const y = scoreScale(T.map(score), p.bottom, p.top, 6);
  axisX(p, x, byTime ? 'time of the sweep, h:mm:ss' : 'trial', byTime ? clock : undefined);
  axisY(p, y, objective().metric);
  const edge = objective().maximized ? p.bottom : p.top;
  let best = null, path = '';
  for (const t of shown.filter(t => xOf(t) !== null).sort((a, b) => xOf(a) - xOf(b))) {
    const v = score(t);
    if (!ok(v)) { point(p.svg, t, x(xOf(t)), edge, false); continue; }
    point(p.svg, t, x(xOf(t)), y(y.inside(v)), y.inside(v) !== v);
    if (t.state !== 'failed' && (best === null || better(v, best))) {
      path += best === null ? `M${x(xOf(t))} ${y(y.inside(v))}` : `H${x(xOf(t))}V${y(y.inside(v))}`;
      best = v;
    }
  }
  if (path) draw(p.svg, 'path', { class: 'best', d: path + `H${x(last)}`, 'pointer-events': 'none' });
}

function drawCurves() {
  const curves = T.filter(t => t.curve.length > 0);
  if (!curves.length) return;
  const c = card('half', 'Learning curves', `${objective().metric} at each validation; a ring is where a trial stands or was stopped.`);
  ramp(c.top, 'q', 9, 'best', 'worst');
  choose(c.top, [['epoch', 'epochs'], ['seconds', 'seconds']], S.curves, v => { S.curves = v; drawAll(); });
  const at = S.curves === 'epoch' ? 0 : 2, k = 3 + S.objective;
  const p = plotIn(c.plot, 330, margins);
  const xs = curves.flatMap(t => t.curve.map(r => r[at])).filter(ok);
  const x = scaleOf(S.curves === 'epoch' ? Math.min(...xs) : 0, xs.reduce((a, b) => Math.max(a, b), 0), p.left, p.right - 6, false, p.width / 90);
  if (S.curves === 'epoch') x.ticks = x.ticks.filter(Number.isInteger);
  const y = scoreScale(curves.flatMap(t => t.curve.map(r => r[k])), p.bottom, p.top, 6);
  axisX(p, x, S.curves === 'epoch' ? 'epochs trained' : 'seconds of training');
  axisY(p, y, objective().metric);
  // The best on top.
  for (const t of [...curves].sort((a, b) => (quantile.get(b.n) ?? 9) - (quantile.get(a.n) ?? 9))) {
    const places = t.curve.filter(r => ok(r[k]) && ok(r[at])).map(r => [x(r[at]), y(y.inside(r[k]))]);
    if (!places.length) continue;
    draw(p.svg, 'path', { class: 'path ' + colour(t), 'data-t': t.n, d: 'M' + places.map(q => q.join(' ')).join('L') });
    const [cx, cy] = places[places.length - 1];
    if (t.state !== 'finished' || places.length === 1) {
      draw(p.svg, 'circle', { class: 'ring ' + colour(t), 'data-t': t.n, cx, cy, r: 2 });
    }
  }
}
)js";
}

}  // namespace trireme
