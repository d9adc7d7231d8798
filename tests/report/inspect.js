/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with how a page looks: run in the page, gives {problems, seen}. */
(() => {
  const problems = [], seen = {texts: 0, lines: 0, least: 99};
  const wide = window.innerWidth;
  const say = (what, where) => problems.push(
    `${what}: <${where.tagName}> "${where.textContent.trim().slice(0, 40)}"`);

  const parse = c => {
    const n = (c.match(/[\d.]+/g) || []).map(Number);
    return n.length < 3 ? null : [n[0], n[1], n[2], n.length > 3 ? n[3] : 1];
  };
  const light = ([r, g, b]) => [r, g, b].map(v => {
    v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  }).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const over = (top, under) => top.slice(0, 3).map(
    (v, i) => v * top[3] + under[i] * (1 - top[3]));
  const isDrawn = e => e.namespaceURI.endsWith('svg');

  const behind = e => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) {
      const c = parse(getComputedStyle(at).backgroundColor);
      if (c && c[3]) layers.push(c);
      if (c && c[3] === 1) break;
    }
    /* A picture on its own has a rectangle for a background. */
    const plane = isDrawn(e) && document.documentElement.tagName === 'svg'
      && document.querySelector('svg > rect');
    if (plane) layers.push(parse(getComputedStyle(plane).fill));
    return layers.reverse().reduce((under, c) => over(c, under), [255, 255, 255]);
  };

  const contrast = (e, colour, least) => {
    const c = parse(colour);
    if (!c || !c[3]) return say('has no colour', e);
    const under = behind(e), found = ratio(over(c, under), under);
    seen.least = Math.min(seen.least, found);
    if (found < least) say(`contrast ${found.toFixed(2)}`, e);
  };

  const root = document.documentElement;
  if (root.scrollWidth > wide + 1) say(`page ${root.scrollWidth} wide`, root);
  for (const e of document.querySelectorAll('body *')) {
    const box = e.getBoundingClientRect();
    if (isDrawn(e) ? e.tagName === 'svg' && !e.parentElement.closest('svg')
                   : box.width > 0) {
      if (box.right > wide + 1 || box.left < -1) say('outside the page', e);
    }
    if (!isDrawn(e) && e.scrollWidth > e.clientWidth + 1 && e.clientWidth)
      say('cut off', e);
  }

  const own = e => [...e.childNodes].some(
    n => n.nodeType === 3 && n.textContent.trim());
  for (const e of document.querySelectorAll('body *, svg text')) {
    if (!own(e) || e.tagName === 'style') continue;
    const style = getComputedStyle(e);
    seen.texts++;
    contrast(e, isDrawn(e) ? style.fill : style.color, 4.5);
  }
  for (const e of document.querySelectorAll('.line, .thin, .dashed, .bar')) {
    if (e.classList.contains('light')) continue;
    seen.lines++;
    contrast(e, getComputedStyle(e).stroke, 3);
  }

  /* Words of a drawing: inside it, and not over each other. */
  for (const drawing of document.querySelectorAll('svg')) {
    const outer = drawing.getBoundingClientRect();
    const words = [...drawing.querySelectorAll('text')].filter(
      t => t.closest('svg') === drawing && t.textContent.trim());
    const boxes = words.map(t => t.getBoundingClientRect());
    boxes.forEach((b, i) => {
      if (b.left < outer.left - 1 || b.right > outer.right + 1
          || b.top < outer.top - 1.5 || b.bottom > outer.bottom + 3)
        say('cut off', words[i]);
      for (let j = 0; j < i; j++) {
        const c = boxes[j];
        if (b.left < c.right - 1 && c.left < b.right - 1
            && b.top < c.bottom - 4 && c.top < b.bottom - 4)
          say(`over "${words[j].textContent}"`, words[i]);
      }
    });
  }
  return {problems, seen};
})()
