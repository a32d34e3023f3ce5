"""The board: static pages of a results store.

`read.py` joins the records of all submitters, `entries.py` makes the rows of rankings, the modules beside them the
other contents, `pages.py` lists the pages, and `build.py` writes them. Templates are in `templates/`; styles and
scripts are those of the report's page and `board.css`, `board.js`.
"""
