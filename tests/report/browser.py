"""What tests in a browser ask of a page."""

from __future__ import annotations

import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/\\d+/g).slice(0, 3).map(Number).map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(c) && c !== 'transparent') return c; } return 'rgb(255, 255, 255)'; };
  const texts = 'p, td, th, button, a, h1, h2, h3, li, dt, dd, summary, figcaption, label';
  return Math.min(...[...document.querySelectorAll(texts)]
    .filter(e => e.textContent.trim() && e.offsetParent).map(e => {
      const a = light(getComputedStyle(e).color), b = light(behind(e));
      return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); }));
}"""
TOO_WIDE = """() => [...document.querySelectorAll('.scroll')]
  .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.getAttribute('aria-label'))"""
