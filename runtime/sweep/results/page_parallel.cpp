#include "sweep/results/page.h"

namespace trireme {

std::string_view script_parallel() {
  return R"js(
// Axes: all parameters, then all objectives. A brush is a range of an axis, as parts of its height from the
// top; a trial passes when it lies in all of them.
let heights = new Map();  // by trial: where its line crosses each axis, as such a part
const passes = t => [...S.brushes].every(([axis, [a, b]]) => {
  const h = heights.get(t.n)?.[axis];
  return h !== null && h !== undefined && h >= a - 1e-9 && h <= b + 1e-9;
}) && matchesText(t);

// Keys are long: their last part in full, the rest above it, and all turned where one has no room.
const partsOf = key => [key.slice(key.lastIndexOf('.') + 1), key.slice(0, key.lastIndexOf('.') + 1)];
function axisName(svg, x, y, key, turned) {
  const [last, table] = partsOf(key);
  const place = turned ? { transform: `translate(${x},${y}) rotate(-22)` } : { transform: `translate(${x},${y})` };
  const g = draw(svg, 'g', { ...place, 'text-anchor': turned ? 'start' : 'middle' });
  if (table) draw(g, 'text', { y: -13 }, table);
  draw(g, 'text', { class: 'name', y: 0 }, last);
}

function drawParallel() {
  const shown = T.filter(t => ok(score(t)) || t.state === 'failed');
  const c = card('full', 'Parallel coordinates', 'A line a trial, from its parameters to what it has come to. ' +
                 'Drag along an axis to pick trials, on several axes too; a click on the axis lets go.');
  ramp(c.top, 'q', 9, 'best', 'worst');
  const told = add(c.top, 'span', { class: 'soft', id: 'picked' });
  add(c.top, 'button', { type: 'button' }, 'all trials').addEventListener('click', () => { S.brushes.clear(); drawAll(); });
  const axes = [...D.parameters.map(p => ({ p, key: p.key })), ...D.objectives.map((o, i) => ({ o, i, key: o.metric }))];
  const p = plotIn(c.plot, 400, { left: 60, right: 60, top: 66, bottom: 24 });
  const gap = axes.length > 1 ? (p.right - p.left) / (axes.length - 1) : 0;
  const inactive = T.some(t => t.values.includes(null));
  const bottom = inactive ? p.bottom - 26 : p.bottom;
  axes.forEach((axis, i) => {
    axis.x = p.left + i * gap;
    if (axis.p) axis.scale = scaleOfParameter(axis.p, bottom, p.top, 7);
    else {
      const before = S.objective;
      S.objective = axis.i;
      axis.scale = scoreScale(T.map(score), bottom, p.top, 7);
      S.objective = before;
      axis.scale.text = tickText;
    }
    axis.y = t => {
      const v = axis.p ? t.values[i] : t.scores[axis.i];
      if (axis.p && v === null) return p.bottom;
      if (!ok(v)) return null;
      return axis.p && axis.p.kind === 'choice' ? axis.scale(v) : axis.scale(axis.scale.inside(v));
    };
  });
  heights = new Map(shown.map(t => [t.n, axes.map(a => { const y = a.y(t); return y === null ? null : (y - p.top) / (p.bottom - p.top); })]));
  const lines = draw(p.svg, 'g', { class: shown.length > 150 ? 'many' : '' });
  for (const t of [...shown].sort((a, b) => (quantile.get(b.n) ?? 9) - (quantile.get(a.n) ?? 9))) {
    const places = axes.map(a => [a.x, a.y(t)]).filter(q => q[1] !== null);
    draw(lines, 'path', { class: 'path ' + colour(t), 'data-t': t.n, d: 'M' + places.map(q => q[0].toFixed(1) + ' ' + q[1].toFixed(1)).join('L') });
  }
  if (inactive) draw(p.svg, 'text', { x: p.left - 8, y: p.bottom + 4, 'text-anchor': 'end' }, 'inactive');
  const turned = axes.some(axis => 6.2 * Math.max(...partsOf(axis.key).map(part => part.length)) > gap * 0.95);
  axes.forEach((axis, i) => {
    const g = draw(p.svg, 'g', {});
    draw(g, 'line', { class: 'axis', x1: axis.x, x2: axis.x, y1: p.top, y2: bottom });
    axisName(g, axis.x, p.top - 16, axis.key, turned);
    for (const tick of axis.scale.ticks) {
      const y = axis.scale(tick), left = i > 0 || axes.length === 1;
      draw(g, 'line', { class: 'axis', x1: axis.x - 3, x2: axis.x + 3, y1: y, y2: y });
      const text = draw(g, 'text', { x: axis.x + (left ? 6 : -6), y: y + 4, 'text-anchor': left ? 'start' : 'end' },
                        axis.scale.text(tick).slice(0, Math.max(5, Math.floor(gap / 7.5))));
      text.setAttribute('class', 'halo');
    }
    brushOn(g, axis, i, p);
  });
  showBrushes();

  function brushOn(g, axis, i, p) {
    const mark = draw(g, 'rect', { class: 'brush', x: axis.x - 7, width: 14, 'pointer-events': 'none' });
    axis.show = () => {
      const range = S.brushes.get(i);
      fill(mark, { visibility: range ? 'visible' : 'hidden', y: p.top + (range ? range[0] : 0) * (p.bottom - p.top),
                   height: range ? Math.max(2, (range[1] - range[0]) * (p.bottom - p.top)) : 0 });
    };
    const strip = draw(g, 'rect', { class: 'strip', x: axis.x - 13, width: 26, y: p.top - 6, height: p.bottom - p.top + 14 });
    let from = null;
    const part = event => {
      const box = p.svg.getBoundingClientRect();
      const y = (event.clientY - box.top) * (p.svg.viewBox.baseVal.height / box.height);
      return Math.min(1, Math.max(0, (y - p.top) / (p.bottom - p.top)));
    };
    strip.addEventListener('pointerdown', event => { from = part(event); strip.setPointerCapture(event.pointerId); S.brushes.delete(i); showBrushes(); });
    strip.addEventListener('pointermove', event => {
      if (from === null) return;
      const to = part(event);
      if (Math.abs(to - from) < 0.01) return;
      S.brushes.set(i, [Math.min(from, to), Math.max(from, to)]);
      showBrushes();
    });
    for (const end of ['pointerup', 'pointercancel']) strip.addEventListener(end, () => { from = null; });
  }
  function showBrushes() { axes.forEach(a => a.show()); showPicked(); }
}

let waiting = false;
// Trials that do not pass fade in all pictures, and go from the table.
function showPicked() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    const out = new Set(T.filter(t => !passes(t)).map(t => String(t.n)));
    for (const e of document.querySelectorAll('[data-t]')) e.classList.toggle('out', out.has(e.getAttribute('data-t')));
    const told = document.getElementById('picked');
    if (told) told.textContent = out.size ? `${T.length - out.size} of ${plural(T.length, 'trial')}` : plural(T.length, 'trial');
  });
}
)js";
}

}  // namespace trireme
