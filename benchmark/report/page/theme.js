"use strict";
// The choice between automatic, light and dark. Stored where the browser lets a file store something.
document.documentElement.classList.add("js"); // styles hide what needs scripts
const THEMES = ["automatic", "light", "dark"];
const applyTheme = name => {
  if (name === "automatic") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
};
const storedTheme = () => {
  try {
    return localStorage.getItem("aat-benchmark-theme");
  } catch {
    return null;
  }
};
let theme = THEMES.includes(storedTheme()) ? storedTheme() : "automatic";
applyTheme(theme);
document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  const label = () => {
    button.textContent = `Theme: ${theme}`;
  };
  label();
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    applyTheme(theme);
    label();
    try {
      localStorage.setItem("aat-benchmark-theme", theme);
    } catch {
      /* the choice lasts for this visit */
    }
    document.dispatchEvent(new Event("colours"));
  });
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("colours")));
