#include "sweep/results/page.h"

namespace trireme {

std::string_view script_table() {
  return R"js(
const columns = [
  { name: 'trial', number: true, of: t => t.n, text: t => (t.front ? '★ ' : '') + t.n },
  { name: 'state', of: t => t.state, text: t => t.state, swatch: true },
  ...D.objectives.map((o, i) => ({ name: o.metric, number: true, of: t => t.scores[i] ?? null, text: t => figure(t.scores[i]) })),
  { name: 'epochs', number: true, of: t => t.curve.length ? t.curve[t.curve.length - 1][0] : 0 },
  { name: 'rank-seconds', number: true, of: t => t.busy, text: t => ok(t.busy) ? t.busy.toFixed(1) : '' },
  { name: 'ranks', number: true, of: t => t.ranks },
  ...D.parameters.map((p, i) => ({ name: p.key, number: p.kind !== 'choice', of: t => t.values[i],
                                   text: t => t.values[i] === null ? '' : valueText(p, t.values[i]) })),
  { name: 'attempts', number: true, of: t => t.attempts },
  { name: 'reason', of: t => t.reason, className: 'reason' },
];
const textOf = (c, t) => c.text ? c.text(t) : String(c.of(t) ?? '');
function matchesText(t) {
  if (!S.text) return true;
  return columns.some(c => textOf(c, t).toLowerCase().includes(S.text));
}

function drawTable() {
  const c = card('full', 'All trials', 'A click on a heading sorts, on a row keeps it marked everywhere. ★: the best, or on the front.');
  const search = add(c.top, 'input', { type: 'search', placeholder: 'find: state, value, reason', 'aria-label': 'find trials' });
  search.value = S.text;
  search.addEventListener('input', () => { S.text = search.value.trim().toLowerCase(); showPicked(); });
  const table = add(add(c.plot, 'div', { class: 'scroll' }), 'table'), head = add(add(table, 'thead'), 'tr');
  const body = add(table, 'tbody');
  const rows = T.map(t => {
    const row = document.createElement('tr');
    row.setAttribute('data-t', t.n);
    for (const column of columns) {
      const cell = add(row, 'td', { class: column.className || (column.number ? 'number' : '') });
      if (column.swatch) add(cell, 'span', { class: 'swatch ' + t.state });
      cell.append(textOf(column, t));
    }
    return { t, row };
  });
  const heads = columns.map((column, i) => {
    const at = column.name.lastIndexOf('.'), th = add(head, 'th', { class: column.number ? 'number' : '' });
    add(th, 'span', { class: 'table-of' }, at < 0 ? '\u00a0' : column.name.slice(0, at + 1));
    const name = add(th, 'span', {}, column.name.slice(at + 1));
    th.addEventListener('click', () => { S.sort = { column: i, down: S.sort.column === i && !S.sort.down }; sort(); });
    return { name, text: column.name.slice(at + 1) };
  });
  function sort() {
    const { column, down } = S.sort, of = columns[column].of, sign = down ? -1 : 1;
    rows.sort((a, b) => {
      const x = of(a.t), y = of(b.t);
      if (x === y) return a.t.n - b.t.n;
      // What is not there comes last, either way.
      if (x === null || x === undefined || x === '') return 1;
      if (y === null || y === undefined || y === '') return -1;
      return x < y ? -sign : sign;
    });
    body.append(...rows.map(r => r.row));
    heads.forEach((h, i) => { h.name.textContent = h.text + (i === column ? (down ? ' ▼' : ' ▲') : ''); });
  }
  sort();
}
)js";
}

std::string_view script_main() {
  return R"js(
function drawHead() {
  document.getElementById('name').textContent = D.name;
  fill(document.getElementById('state'), { class: 'badge ' + D.state }, D.state);
  const written = new Date(D.written * 1000).toLocaleString();
  document.getElementById('what').textContent =
      `${D.sampler}${D.scheduler === 'none' ? '' : ' + ' + D.scheduler}, seed ${D.seed}, ${plural(D.ranks, 'rank')}; as of ${written}`;
  const controls = document.getElementById('controls');
  controls.replaceChildren();
  if (D.objectives.length > 1) {
    choose(controls, D.objectives.map((o, i) => [i, o.metric]), S.objective, v => { S.objective = v; drawAll(); });
    controls.append(' ');
  }
  if (!canLog()) S.log = false;
  else choose(controls, [[false, 'linear'], [true, 'log']], S.log, v => { S.log = v; drawAll(); });
  controls.append(' ');
  const dark = document.documentElement.dataset.theme === 'dark';
  add(controls, 'button', { type: 'button' }, dark ? 'light' : 'dark')
      .addEventListener('click', () => { document.documentElement.dataset.theme = dark ? 'light' : 'dark'; drawHead(); });
}

function drawTiles() {
  const main = document.getElementById('main');
  for (const warning of D.warnings) add(main, 'div', { class: 'warning' }, warning);
  const tiles = add(main, 'div', { class: 'tiles' });
  const tile = (name, value, more, meter) => {
    const t = add(tiles, 'div', { class: 'tile' });
    add(t, 'div', { class: 'name' }, name);
    add(t, 'div', { class: 'figure' }, value);
    if (meter !== undefined) add(add(t, 'div', { class: 'meter' }), 'i', { style: `width:${(100 * meter).toFixed(1)}%` });
    add(t, 'div', { class: 'more' }, more);
    return t;
  };
  const best = T.filter(t => t.state !== 'failed' && ok(score(t))).reduce((a, t) => a === null || better(score(t), score(a)) ? t : a, null);
  const t = tile(`best ${objective().metric}`, best ? figure(score(best)) : '–',
                 best ? `trial ${best.n}, ${plural(best.curve[best.curve.length - 1][0], 'epoch')}, ${best.state}` : 'no trial has a score yet');
  if (best) t.setAttribute('data-t', best.n);
  tile('trials', String(T.length), D.states);
  tile('budget spent', (100 * D.fraction).toFixed(0) + ' %', D.spent, D.fraction);
  tile('time', clock(D.seconds), D.left === undefined ? `${D.epochs} epochs trained` : `about ${clock(D.left)} left, ${D.epochs} epochs trained`);
  tile('ranks at work', (100 * D.utilisation).toFixed(1) + ' %', `of the time of ${plural(D.ranks, 'rank')}`, D.utilisation);
}

function details(t) {
  const rows = D.objectives.map((o, i) => [o.metric, figure(t.scores[i])]);
  rows.push(['epochs', t.curve.length ? t.curve[t.curve.length - 1][0] : 0]);
  D.parameters.forEach((p, i) => { if (t.values[i] !== null) rows.push([p.key, valueText(p, t.values[i])]); });
  if (t.ranks > 1) rows.push(['ranks', t.ranks]);
  if (t.attempts > 1) rows.push(['attempts', t.attempts]);
  if (t.parent >= 0) rows.push(['made from trial', t.parent]);
  if (t.reason) rows.push(['reason', t.reason]);
  return rows;
}
let hot = null;
function light(n, event) {
  const tip = document.getElementById('tip');
  if (n !== hot) {
    for (const e of document.querySelectorAll('.hot')) if (e.getAttribute('data-t') !== S.pinned) e.classList.remove('hot');
    hot = n;
    tip.style.display = n === null ? 'none' : 'block';
    if (n !== null) {
      for (const e of document.querySelectorAll(`[data-t="${n}"]`)) e.classList.add('hot');
      const t = byNumber.get(+n);
      if (!t) return;
      tip.replaceChildren();
      add(tip, 'b', {}, `trial ${t.n}`);
      tip.append(` ${t.state}`);
      const list = add(tip, 'dl');
      for (const [name, value] of details(t)) { add(list, 'dt', {}, name); add(list, 'dd', {}, value); }
    }
  }
  if (n !== null && event) {
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 16 + box.width > innerWidth ? event.clientX - box.width - 12 : event.clientX + 16;
    tip.style.left = Math.max(4, left) + 'px';
    tip.style.top = Math.max(4, Math.min(event.clientY + 12, innerHeight - box.height - 8)) + 'px';
  }
}
function pin(n) {
  S.pinned = S.pinned === n ? null : n;
  const bar = document.getElementById('pin'), t = byNumber.get(+S.pinned);
  for (const e of document.querySelectorAll('.hot')) e.classList.remove('hot');
  hot = null;
  bar.style.display = S.pinned === null ? 'none' : 'flex';
  if (S.pinned === null || !t) return;
  for (const e of document.querySelectorAll(`[data-t="${S.pinned}"]`)) e.classList.add('hot');
  bar.replaceChildren();
  add(bar, 'b', {}, `trial ${t.n}`);
  add(bar, 'span', {}, `${t.state}  ` + D.objectives.map((o, i) => `${o.metric} ${figure(t.scores[i])}`).join(', ') + (t.reason ? `  (${t.reason})` : ''));
  add(bar, 'code', {}, D.parameters.map((p, i) => t.values[i] === null ? '' :
      `--set ${p.key}=${p.kind === 'choice' ? p.choices[t.values[i]] : t.values[i]}`).filter(Boolean).join(' '));
  add(bar, 'span', { class: 'grow' });
  add(bar, 'button', { type: 'button' }, 'close').addEventListener('click', () => pin(S.pinned));
}
document.addEventListener('pointerover', event => {
  const mark = event.target.closest?.('[data-t]');
  light(mark ? mark.getAttribute('data-t') : null, event);
});
document.addEventListener('pointermove', event => { if (hot !== null) light(hot, event); });
document.addEventListener('click', event => {
  const mark = event.target.closest?.('[data-t]');
  if (mark) pin(mark.getAttribute('data-t'));
});

function drawAll() {
  const scrolled = scrollY, main = document.getElementById('main');
  main.style.minHeight = main.clientHeight + 'px';  // or the page jumps while it is empty
  main.replaceChildren();
  rankScores();
  for (const step of [drawHead, drawTiles, drawHistory, drawImportances, drawParallel, drawSlices, drawCurves, drawFront,
                      drawTimeline, drawTable]) step();
  main.style.minHeight = '';
  scrollTo(0, scrolled);
  showPicked();
  if (S.pinned !== null) for (const e of document.querySelectorAll(`[data-t="${S.pinned}"]`)) e.classList.add('hot');
}
document.documentElement.dataset.theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
let width = innerWidth, later = 0;
addEventListener('resize', () => {
  if (innerWidth === width) return;
  width = innerWidth;
  clearTimeout(later);
  later = setTimeout(drawAll, 150);
});
drawAll();
)js";
}

}  // namespace trireme
