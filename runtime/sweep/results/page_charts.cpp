#include "sweep/results/page.h"

namespace trireme {

std::string_view script_charts() {
  return R"js(
function drawImportances() {
  const all = D.importances[S.objective];
  const c = card('narrow', 'Importance', 'How much of the variance of ' + objective().metric + ' over the whole space each ' +
                 'parameter accounts for (fANOVA, a random forest); the line is the deviation over trees.');
  if (!all || !all.singles.length || all.singles.every(row => row[1] === 0)) {
    add(c.plot, 'p', { class: 'soft' }, 'Needs four trials that are over and differ.');
    return;
  }
  const bars = add(c.plot, 'div', { class: 'bars' });
  const most = Math.max(...all.singles.map(r => r[1]), ...all.pairs.map(r => r[1]));
  const bar = (row, kind) => {
    add(bars, 'span', { class: 'key' }, row[0].replace(' x ', ' × '));
    const track = add(bars, 'span', { class: 'track ' + kind });
    add(track, 'i', { style: `width:${(100 * row[1] / most * 0.85).toFixed(2)}%` });
    const low = Math.max(0, row[1] - row[2]) / most * 85, high = Math.min(1.18 * most, row[1] + row[2]) / most * 85;
    add(track, 'b', { style: `left:${low.toFixed(2)}%;width:${(high - low).toFixed(2)}%` });
    add(bars, 'span', { class: 'number' }, (100 * row[1]).toFixed(1) + ' %');
  };
  all.singles.slice(0, 14).forEach(r => bar(r, ''));
  const pairs = all.pairs.filter(r => r[1] >= 0.005).slice(0, 5);
  if (pairs.length) add(bars, 'h3', {}, 'Pairs, beyond what each does alone');
  pairs.forEach(r => bar(r, 'pair'));
}

function drawSlices() {
  const c = card('full', 'Slices', `Each parameter against ${objective().metric}, the most important first.`);
  ramp(c.top, 'o', 5, 'first trials', 'last');
  const order = (D.importances[S.objective]?.singles || []).map(r => r[0]);
  const indices = D.parameters.map((_, i) => i).sort((a, b) => order.indexOf(D.parameters[a].key) - order.indexOf(D.parameters[b].key));
  const shown = T.filter(t => ok(score(t)));
  const all = add(c.plot, 'div', { class: 'slices' });
  for (const i of indices) {
    const q = D.parameters[i], p = plotIn(add(all, 'div'), 190, { left: 46, right: 6, top: 10, bottom: 36 });
    const x = scaleOfParameter(q, p.left + 6, p.right - 6, Math.max(2, (p.right - p.left) / 60));
    const y = scoreScale(shown.map(score), p.bottom, p.top, 4);
    axisX(p, x, '', v => x.text(v).slice(0, 12));
    axisY(p, y);
    draw(p.svg, 'text', { class: 'name', x: (p.left + p.right) / 2, y: p.bottom + 31, 'text-anchor': 'middle' },
         q.key + (q.log ? '  (log)' : ''));
    for (const t of shown) {
      const v = t.values[i];
      if (v === null) continue;
      // Choices are spread a little, always the same way.
      const aside = q.kind === 'choice' ? ((t.n * 0.618034) % 1 - 0.5) * Math.min(60, x.width * 0.6) : 0;
      point(p.svg, t, x(v) + aside, y(y.inside(score(t))), y.inside(score(t)) !== score(t),
            'o' + Math.min(4, Math.floor(5 * t.n / (T[T.length - 1].n + 1))));
    }
  }
}

function drawFront() {
  if (D.objectives.length < 2) return;
  S.front = S.front || [0, 1];
  const c = card('half', 'Pareto front', 'Trials that no other beats in all objectives are joined.');
  if (D.objectives.length > 2) {
    S.front.forEach((chosen, side) => {
      const select = add(c.top, 'select', { 'aria-label': side ? 'vertical' : 'horizontal' });
      D.objectives.forEach((o, i) => fill(add(select, 'option', { value: i }, o.metric), i === chosen ? { selected: '' } : {}));
      select.addEventListener('change', () => { S.front[side] = +select.value; drawAll(); });
    });
  }
  const [a, b] = S.front, shown = T.filter(t => ok(t.scores[a]) && ok(t.scores[b]));
  const p = plotIn(c.plot, 330, margins), before = S.objective;
  S.objective = a;
  const x = scoreScale(shown.map(score), p.left, p.right, p.width / 90);
  S.objective = b;
  const y = scoreScale(shown.map(score), p.bottom, p.top, 6);
  S.objective = before;
  axisX(p, x, D.objectives[a].metric + (D.objectives[a].maximized ? ' (higher is better)' : ' (lower is better)'));
  axisY(p, y, D.objectives[b].metric + (D.objectives[b].maximized ? ' (higher is better)' : ' (lower is better)'));
  const place = t => [x(x.inside(t.scores[a])), y(y.inside(t.scores[b]))];
  const front = shown.filter(t => t.front).sort((s, t) => s.scores[a] - t.scores[a]);
  if (front.length > 1) draw(p.svg, 'path', { class: 'best', d: 'M' + front.map(t => place(t).join(' ')).join('L') });
  for (const t of [...shown].sort((s, u) => (s.front ? 1 : 0) - (u.front ? 1 : 0))) {
    point(p.svg, t, ...place(t), false, t.front ? 'running' : 'stopped');
  }
}
)js";
}

}  // namespace trireme
