"""The report as one self-contained page.

`build.py` collects what the page shows; `page.html.j2`, `style.css` and the scripts say how. `vendor/` has the chart
library.
"""
