// Sorting of tables, values under the pointer, everything unfolded in print. The page is complete without.
(() => {
  'use strict';
  for (const table of document.querySelectorAll('table')) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.title = 'sort';
      button.append(...head.childNodes);
      head.append(button);
      button.onclick = () => {
        const down = head.getAttribute('aria-sort') === 'ascending';
        for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
        head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
        const key = row => {
          const cell = row.cells[column], value = cell.dataset.s;
          return value === undefined ? cell.textContent : value === '-inf' ? -Infinity : Number(value);
        };
        const compare = (a, b) => typeof a === 'string' || typeof b === 'string'
          ? String(a).localeCompare(String(b), 'en', { numeric: true }) : a < b ? -1 : a > b ? 1 : 0;
        const rows = [...body.rows].map(row => [key(row), row]);
        rows.sort(([a], [b]) => down ? compare(b, a) : compare(a, b));
        body.append(...rows.map(([, row]) => row));
      };
    });
  }

  const tip = document.createElement('div');
  tip.id = 'tip';
  tip.hidden = true;
  document.body.append(tip);
  // Titles are told by the tip, also where a finger points; the browser's own would come on top.
  const titles = new WeakMap();
  const told = element => {
    for (let at = element; at && at.tagName !== 'svg'; at = at.parentElement) {
      if (titles.has(at)) return titles.get(at);
      const title = at.querySelector(':scope > title');
      if (title) {
        titles.set(at, title.textContent);
        title.remove();
        return titles.get(at);
      }
    }
    return '';
  };
  const percent = value => value === undefined ? '–' : (value / 100).toFixed(2) + ' %';
  const read = (panel, event) => {
    const lists = panel.dataset.v.split(';').map(list => list ? list.split(' ').map(Number) : []);
    const box = panel.querySelector('rect').getBoundingClientRect();
    const last = lists[2].length - 1;
    const k = Math.max(0, Math.min(last, Math.round((event.clientX - box.left) / box.width * last)));
    return `threshold ${k} of 0 … ${last}\nclean ${percent(lists[0][k])}\n` +
      `adversarial ${percent(lists[1][k])}\nweights kept ${percent(lists[2][k])}`;
  };
  const show = event => {
    const target = event.target;
    const svg = target instanceof Element && target.closest('svg');
    const panel = svg && target.closest('[data-v]');
    const text = panel ? read(panel, event) : svg ? told(target) : '';
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    const x = Math.min(event.clientX + 14, innerWidth - box.width - 4);
    const y = event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18;
    tip.style.left = Math.max(4, x) + 'px';
    tip.style.top = Math.max(4, y) + 'px';
  };
  document.addEventListener('pointermove', show);
  document.addEventListener('pointerdown', show);
  document.addEventListener('scroll', () => { tip.hidden = true; }, { passive: true });

  let opened = [];
  addEventListener('beforeprint', () => {
    opened = [...document.querySelectorAll('details:not([open])')];
    for (const details of opened) details.open = true;
  });
  addEventListener('afterprint', () => {
    for (const details of opened) details.open = false;
  });
})();
