"use strict";
// The mark of the current section in the contents.
const links = new Map([...document.querySelectorAll(".contents a")].map(link => [link.hash.slice(1), link]));
const inView = new Set();
const contents = document.querySelector(".contents");
const watcher = new IntersectionObserver(
  entries => {
    for (const entry of entries) entry.isIntersecting ? inView.add(entry.target.id) : inView.delete(entry.target.id);
    const current = [...links.keys()].find(id => inView.has(id));
    if (current) contents.scrollLeft = links.get(current).offsetLeft - contents.clientWidth / 3;
    for (const [id, link] of links)
      id === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  },
  { rootMargin: "-60px 0px -60% 0px" },
);
for (const id of links.keys()) watcher.observe(document.getElementById(id));
