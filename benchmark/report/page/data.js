"use strict";
// The data of the page, and elements with text: never HTML.
const DATA = JSON.parse(document.getElementById("data").textContent);
const element = (name, text = "", more = {}) => Object.assign(document.createElement(name), { textContent: text }, more);
