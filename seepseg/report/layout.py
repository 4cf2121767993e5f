"""What all pages have in common: one HTML file each, with its styles within, and tables."""

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from seepseg.report.contents import Table

NUMBER = re.compile(r"[-+\u2212±<≤]? ?\.?\d")  # how a number begins, whatever unit or interval follows
NOTHING = {"", "–", "-", "—"}
LONG_TABLE = 12


def render_tables(title: str, paragraphs: list[str], tables: list[Table]) -> str:
    """Write a page of tables, which loads nothing.

    Args:
        title: of the page.
        paragraphs: plain text before the tables.
        tables: in their order; each with its title and note.

    Returns:
        HTML, all text in it escaped.
    """
    return environment().get_template("tables.html").render(title=title, paragraphs=paragraphs, tables=tables)


@cache
def environment() -> Environment:
    """Templates of the package, which escape all that is put into them, and end at names that nobody gave."""
    loader = PackageLoader("seepseg.report", "")
    env = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.policies["json.dumps_kwargs"] = {"sort_keys": False, "allow_nan": False}  # Bokeh's references follow an order
    env.globals["text_of"] = lambda name: Markup(loader.get_source(env, name)[0])
    env.globals["number_columns"] = number_columns
    env.globals["is_long"] = lambda table: len(table.rows) > LONG_TABLE
    return env


def number_columns(table: Table) -> list[bool]:
    """Which columns of a table hold numbers and gaps, and read best when aligned to the right; never the first one."""
    columns = [{row[i].strip() for row in table.rows} - NOTHING for i in range(len(table.columns))]
    return [i > 0 and all(map(NUMBER.match, cells)) for i, cells in enumerate(columns)]
