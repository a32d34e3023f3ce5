"use strict";
// A point of a chart opens the page of its records; a mean over datasets opens that of its method.
const showCells = cells => {
  location.href = cells.length === 1 ? `../cells/${cells[0]}.html` : `../${DATA.methods[cells[0]]}`;
};
