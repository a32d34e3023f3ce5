"use strict";
// Last: the charts are drawn when all scripts have added theirs.
drawAll();
