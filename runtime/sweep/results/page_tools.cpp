#include "sweep/results/page.h"

namespace trireme {

// All text gets into the page by textContent and setAttribute, so nothing of a sweep is ever read as markup.
std::string_view script_tools() {
  return R"js(
const D = JSON.parse(document.getElementById('data').textContent);
const T = D.trials;
const byNumber = new Map(T.map(t => [t.n, t]));
// What the reader has chosen.
const S = { objective: 0, log: false, history: 'trial', curves: 'epoch', pinned: null, brushes: new Map(),
            text: '', sort: { column: 0, down: false } };

const SVG = (() => { const t = document.createElement('template'); t.innerHTML = '<svg></svg>';
                     return t.content.firstChild.namespaceURI; })();
function fill(element, attributes, text) {
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
function add(parent, tag, attributes, text) {
  return parent.appendChild(fill(document.createElement(tag), attributes, text));
}
function draw(parent, tag, attributes, text) {
  return parent.appendChild(fill(document.createElementNS(SVG, tag), attributes, text));
}

const ok = v => typeof v === 'number' && isFinite(v);
function figure(v) {
  if (!ok(v)) return '–';
  const size = Math.abs(v);
  if (Number.isInteger(v) && size < 1e9) return String(v);
  if (size >= 1e5 || size < 1e-3) return v.toExponential(2).replace('e+', 'e');
  return size >= 1e4 ? v.toFixed(0) : String(v.toPrecision(4));
}
// Of an axis: without zeros at the end.
const tickText = v => Math.abs(v) >= 1e5 || (v !== 0 && Math.abs(v) < 1e-3)
    ? (+v.toPrecision(4)).toExponential().replace('e+', 'e') : String(+v.toPrecision(6));
function clock(seconds) {
  const s = Math.round(seconds), two = n => String(n).padStart(2, '0');
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`
                   : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

const objective = () => D.objectives[S.objective];
const score = t => t.scores.length > S.objective ? t.scores[S.objective] : null;
const better = (a, b) => objective().maximized ? a > b : a < b;
const valueText = (p, v) => v === null ? 'not active' : p.kind === 'choice' ? p.choices[v] : figure(v);
const plural = (n, word) => `${n} ${word}${n === 1 ? '' : 's'}`;

// Scales: a function to pixels with domain, ticks and from pixels.
function ticksOf(low, high, count) {
  const raw = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= raw * 0.999) || raw;
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; ++k) ticks.push(+(k * step).toPrecision(12));
  return ticks;
}
function logTicksOf(low, high, count) {
  const decades = Math.log10(high / low), ticks = [];
  if (decades < 1) return ticksOf(low, high, count);
  const every = Math.max(1, Math.ceil(decades / count)), parts = decades >= 2.5 ? [1] : count >= 4 ? [1, 2, 5] : [1, 3];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); ++e) {
    if (((e % every) + every) % every !== 0) continue;
    for (const m of parts) {
      const v = +(m * 10 ** e).toPrecision(6);
      if (v >= low * 0.9999 && v <= high * 1.0001) ticks.push(v);
    }
  }
  return ticks;
}
function scaleOf(low, high, from, to, log, count) {
  if (!(high > low)) { const d = Math.abs(low) * 0.05 || 1; low -= d; high += d; log = log && low > 0; }
  const place = log ? Math.log : v => v, a = place(low), b = place(high);
  const scale = v => from + (place(v) - a) / (b - a) * (to - from);
  scale.inside = v => Math.min(Math.max(v, low), high);
  scale.ticks = log ? logTicksOf(low, high, count || 6) : ticksOf(low, high, count || 6);
  scale.low = low; scale.high = high;
  return scale;
}
// Of a parameter: choices have a place each.
function scaleOfParameter(p, from, to, count) {
  if (p.kind !== 'choice') {
    const scale = scaleOf(p.low, p.high, from, to, p.log, count);
    if (p.kind === 'integer') scale.ticks = scale.ticks.filter(Number.isInteger);
    scale.text = tickText;
    return scale;
  }
  const n = p.choices.length, scale = v => from + (v + 0.5) / n * (to - from);
  scale.ticks = p.choices.map((_, i) => i);
  if (n > 12) scale.ticks = scale.ticks.filter(i => i % Math.ceil(n / 12) === 0);
  scale.text = v => p.choices[v];
  scale.width = Math.abs(to - from) / n;
  return scale;
}
// The range that scores are shown in: the good end whole, the bad one without the few that are far off.
function scoreRange(values) {
  const sorted = values.filter(ok).sort((a, b) => a - b);
  if (!sorted.length) return [0, 1];
  const at = part => sorted[Math.round(part * (sorted.length - 1))];
  let low = sorted[0], high = sorted[sorted.length - 1];
  if (!S.log) {
    if (objective().maximized) low = Math.max(low, at(0.25) - 3 * (at(0.95) - at(0.25)) - 1e-300);
    else high = Math.min(high, at(0.75) + 3 * (at(0.75) - at(0.05)) + 1e-300);
    const margin = (high - low) * 0.04;
    low -= margin; high += margin;
  }
  return [low, high];
}
const canLog = () => T.every(t => t.curve.every(c => !ok(c[3 + S.objective]) || c[3 + S.objective] > 0) &&
                                  (!ok(score(t)) || score(t) > 0));
function scoreScale(values, from, to, count) {
  const [low, high] = scoreRange(values);
  return scaleOf(low, high, from, to, S.log && low > 0, count);
}

// q0 ... q8 by rank among all scores, so that a few far off leave the others their colours.
let quantile = new Map();
function rankScores() {
  const sorted = T.filter(t => ok(score(t))).sort((a, b) => better(score(a), score(b)) ? -1 : 1);
  quantile = new Map(sorted.map((t, i) => [t.n, Math.min(8, Math.floor(9 * i / sorted.length))]));
}
const colour = t => quantile.has(t.n) ? 'q' + quantile.get(t.n) : 'qx';

// A plot with margins; x and y are scales over its inside.
function plotIn(parent, height, margin) {
  const width = Math.max(200, parent.clientWidth);
  const svg = draw(parent, 'svg', { viewBox: `0 0 ${width} ${height}`, height, role: 'img' });
  return { svg, left: margin.left, right: width - margin.right, top: margin.top, bottom: height - margin.bottom, width };
}
function axisX(p, scale, title, text) {
  let taken = -1e9;
  for (const tick of scale.ticks) {
    const x = scale(tick), label = (text || tickText)(tick);
    draw(p.svg, 'line', { class: 'grid', x1: x, x2: x, y1: p.top, y2: p.bottom });
    const half = 3.3 * label.length;
    if (x - half < taken) continue;
    taken = x + half + 6;
    draw(p.svg, 'text', { x, y: p.bottom + 15, 'text-anchor': 'middle' }, label);
  }
  draw(p.svg, 'line', { class: 'frame', x1: p.left, x2: p.right, y1: p.bottom, y2: p.bottom });
  if (title) draw(p.svg, 'text', { class: 'title', x: (p.left + p.right) / 2, y: p.bottom + 31, 'text-anchor': 'middle' }, title);
}
function axisY(p, scale, title) {
  for (const tick of scale.ticks) {
    const y = scale(tick);
    draw(p.svg, 'line', { class: 'grid', x1: p.left, x2: p.right, y1: y, y2: y });
    draw(p.svg, 'text', { x: p.left - 6, y: y + 4, 'text-anchor': 'end' }, tickText(tick));
  }
  draw(p.svg, 'line', { class: 'frame', x1: p.left, x2: p.left, y1: p.top, y2: p.bottom });
  if (title) draw(p.svg, 'text', { class: 'title', x: p.left, y: p.top - 8 }, title);
}
// A trial as a point: by state filled, a ring, a cross; an arrow where it lies beyond the range.
function point(parent, t, x, y, beyond, className) {
  const name = className || t.state, mark = { 'data-t': t.n };
  if (beyond) {
    const d = objective().maximized ? 5 : -5;
    draw(parent, 'path', { ...mark, class: 'ring ' + name, d: `M${x - 4} ${y - d}L${x} ${y}L${x + 4} ${y - d}` });
  } else if (t.state === 'failed') {
    draw(parent, 'path', { ...mark, class: 'cross ' + name, d: `M${x - 3.5} ${y - 3.5}l7 7m0 -7l-7 7` });
  } else if (t.state === 'finished') {
    draw(parent, 'circle', { ...mark, class: 'dot ' + name, cx: x, cy: y, r: 3.8 });
  } else {
    draw(parent, 'circle', { ...mark, class: 'ring ' + name, cx: x, cy: y, r: 3.2 });
  }
}
function card(size, title, text) {
  const section = add(document.getElementById('main'), 'section', { class: 'card ' + size });
  const top = add(section, 'div', { class: 'top' });
  add(top, 'h2', {}, title);
  add(top, 'p', {}, text);
  return { section, top, plot: add(section, 'div', {}) };
}
function choose(parent, options, current, chosen) {
  const group = add(parent, 'span', { class: 'choice' });
  for (const [value, text] of options) {
    add(group, 'button', { class: value === current ? 'on' : '', type: 'button' }, text)
        .addEventListener('click', () => chosen(value));
  }
}
)js";
}

}  // namespace trireme
