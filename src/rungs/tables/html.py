"""Tables as HTML pages that need nothing from elsewhere and read well on a phone."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from rungs.tables.numbers import cell

if TYPE_CHECKING:
    import pandas as pd

#: cells with more characters wrap; shorter ones stay on their line
LONG = 40
STYLE = """
:root { color-scheme: light }
body { margin: 0.75rem; font: 15px/1.4 system-ui, sans-serif; color: #1e293b; background: #fff }
h1 { font-size: 1.1rem; margin: 0 0 0.5rem }
.scroll { overflow: auto; max-height: calc(100vh - 4.5rem); border: 1px solid #cbd5e1 }
table { border-collapse: separate; border-spacing: 0; font-size: 0.85rem }
th, td { padding: 0.25rem 0.5rem; text-align: left; white-space: nowrap; vertical-align: top;
  border-bottom: 1px solid #e2e8f0 }
th { position: sticky; top: 0; background: #f1f5f9; z-index: 1 }
.number { text-align: right; font-variant-numeric: tabular-nums }
.long { white-space: normal; min-width: 16rem; overflow-wrap: anywhere }
tbody tr:nth-child(even) { background: #f8fafc }
"""


def table_page(table: pd.DataFrame, title: str) -> str:
    """A page with one table: numbers with three decimals and aligned, missing values empty.

    The table scrolls inside the page, under its own heading; all text is escaped.
    """
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    numeric = [is_numeric_dtype(kind) and not is_bool_dtype(kind) for kind in table.dtypes.tolist()]
    head = "".join(
        _cell(name, right, "th") for name, right in zip(table.columns, numeric, strict=True)
    )
    rows = "\n".join(
        f"<tr>{''.join(_cell(v, right) for v, right in zip(row, numeric, strict=True))}</tr>"
        for row in table.itertuples(index=False)
    )
    empty = "" if len(table) else "<p>No run of this profile belongs here.</p>"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{empty}<div class="scroll" tabindex="0">
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
</body>
</html>
"""


def _cell(value: Any, right: bool, tag: str = "td") -> str:
    """One cell, escaped.

    >>> _cell(0.25, right=True)
    '<td class="number">0.25</td>'
    >>> _cell("a < b", right=False)
    '<td>a &lt; b</td>'
    """
    text = cell(value)
    kind = ' class="number"' if right else ' class="long"' if len(text) > LONG else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"
