"""excel-mcp-server with three more tools: a workbook from a title, headers and rows, or from JSON, handed back as a file.

The package's own tools work on workbooks in the folder EXCEL_FILES_PATH. The tools added here put a finished workbook into
the result, as an embedded resource: with `file_links = true` in its bridge, the caller gets a link to it. Only a workbook
that is given a `path` is kept in the folder too, where the other tools can go on with it.

    uvx --from=excel-mcp-server@2.2.2 python server.py stdio
"""

import base64
import io
import json
import math
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import excel_mcp.server
from excel_mcp.cli import main
from excel_mcp.errors import InvalidArgumentError, LimitExceededError
from mcp.types import BlobResourceContents, CallToolResult, EmbeddedResource, TextContent
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from pydantic import Field

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SHEETS_MAX = 50
# Excel's own bounds are 1,048,576 rows and 16,384 columns of a sheet; a workbook of a chat is smaller.
ROWS_MAX = 100_000
COLUMNS_MAX = 1_000
CELLS_MAX = 500_000
# Excel's own bound on the characters of a cell.
TEXT_MAX = 32_767
# The largest number that Excel shows digit by digit is shorter than this; longer ones are kept as text.
DIGITS_MAX = 15
WIDTH_MAX = 60

# What workbooks are described with, under the names that models and older services use.
HEADER_KEYS = ("headers", "columns", "header", "fields")
ROW_KEYS = ("data", "rows", "values", "records", "items")
NAME_KEYS = ("title", "name", "sheet_name", "sheet")

Title = Annotated[str, Field(description="What the workbook is called; its file and its sheet are named after it.")]
Headers = Annotated[list[Any] | None, Field(description="The heading of each column.")]
Rows = Annotated[
    Any,
    Field(description="The rows: lists of cells in the order of the headers, or objects by header. JSON text is read too."),
]
FileName = Annotated[str, Field(description="The name of the file; made from the title unless given.")]
SheetName = Annotated[str, Field(description="The name of the sheet; the title unless given.")]


class Sheet:
    """A name, the headings, the rows; every cell is a text, a number, a truth value or nothing."""

    def __init__(self, name, headers, rows):
        self.name = name
        self.headers = headers
        self.rows = rows


def parsed(value, what):
    """What JSON text says; everything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise InvalidArgumentError(f"`{what}` is text that is not JSON ({error}); give a list of rows.") from None


def first(table, keys):
    return next((table[key] for key in keys if table.get(key) not in (None, "")), None)


def sheet_of(name, headers, data):
    """One sheet. Rows may be lists, objects, or single cells; an object alone is a list of names and values."""
    headers = parsed(headers, "headers") if headers else []
    if not isinstance(headers, list):
        raise InvalidArgumentError("`headers` is a list of texts, one for each column.")
    data = [] if data is None else parsed(data, "data")
    if isinstance(data, dict):
        # A table by columns, or one record.
        if data and all(isinstance(column, list) for column in data.values()):
            headers = headers or list(data)
            columns = [data.get(name, []) for name in headers]
            height = max(map(len, columns), default=0)
            data = [[column[at] if at < len(column) else None for column in columns] for at in range(height)]
        else:
            data = [data]
    if not isinstance(data, list):
        data = [[data]]
    if len(data) > ROWS_MAX:
        raise LimitExceededError(f"`data` has {len(data):,} rows; a sheet takes {ROWS_MAX:,}.")
    if any(isinstance(row, dict) for row in data):
        seen = dict.fromkeys(str(header) for header in headers)
        if not seen:
            for row in data:
                if isinstance(row, dict):
                    seen.update(dict.fromkeys(map(str, row)))
        headers = list(seen)
        data = [[row.get(name) for name in headers] if isinstance(row, dict) else row for row in data]
    rows = [row if isinstance(row, list) else [row] for row in data]
    width = max(map(len, [headers, *rows]), default=0)
    if width > COLUMNS_MAX:
        raise LimitExceededError(f"A row has {width:,} cells; a sheet takes {COLUMNS_MAX:,} columns.")
    return Sheet(str(name or ""), [cell(header) for header in headers], [[cell(it) for it in row] for row in rows])


def cell(value):
    """A value as Excel holds it. Lists and objects become JSON text; text is never a formula."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if len(str(abs(value))) <= DIGITS_MAX else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Control characters and lone surrogates do not fit into the XML of a workbook.
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", " ", text)
    return text[:TEXT_MAX]


def sheets_of(data, title):
    """The sheets that JSON describes: rows, one table, or several by name or in a list."""
    if isinstance(data, dict):
        several = first(data, ("sheets", "worksheets"))
        if isinstance(several, list) and several:
            return [table_of(sheet, f"Sheet{at}") for at, sheet in enumerate(several, 1)]
        if isinstance(several, dict) and several:
            return [table_of(sheet, name) for name, sheet in several.items()]
        if first(data, ROW_KEYS) is not None:
            return [table_of(data, title)]
        is_table = lambda it: isinstance(it, dict) or (isinstance(it, list) and all(isinstance(row, list | dict) for row in it))
        if data and all(is_table(it) and it for it in data.values()):
            return [table_of(sheet, name) for name, sheet in data.items()]
    return [sheet_of(title, None, data)]


def table_of(table, name):
    if isinstance(table, dict) and (first(table, ROW_KEYS) is not None or first(table, HEADER_KEYS) is not None):
        return sheet_of(first(table, NAME_KEYS) or name, first(table, HEADER_KEYS), first(table, ROW_KEYS))
    return sheet_of(name, None, table)


def sheet_names(sheets):
    """Names that Excel takes: 1 to 31 characters without []:*?/\\, no apostrophe at the ends, no two alike."""
    taken = set()
    for at, sheet in enumerate(sheets, 1):
        name = re.sub(r"[\[\]:*?/\\\x00-\x1f]", " ", sheet.name).strip().strip("'")[:31].strip().strip("'") or f"Sheet{at}"
        if name.casefold() == "history":
            name = "History 1"
        base, count = name, 1
        while name.casefold() in taken:
            count += 1
            name = f"{base[: 31 - len(str(count)) - 1]} {count}"
        taken.add(name.casefold())
        yield name


def written(sheets):
    """The bytes of a workbook."""
    if len(sheets) > SHEETS_MAX:
        raise LimitExceededError(f"{len(sheets)} sheets; a workbook takes {SHEETS_MAX}.")
    cells = sum(len(row) for sheet in sheets for row in sheet.rows)
    if cells > CELLS_MAX:
        raise LimitExceededError(f"{cells:,} cells; a workbook takes {CELLS_MAX:,}.")
    book = Workbook(write_only=True)
    for sheet, name in zip(sheets, sheet_names(sheets), strict=True):
        page = book.create_sheet(name)
        rows = [sheet.headers, *sheet.rows] if sheet.headers else sheet.rows
        for at in range(max(map(len, rows), default=0)):
            widest = max((len(str(row[at])) for row in rows[:1000] if at < len(row) and row[at] is not None), default=0)
            page.column_dimensions[get_column_letter(at + 1)].width = min(max(widest + 2, 8), WIDTH_MAX)
        if sheet.headers:
            page.freeze_panes = "A2"
            page.append([styled(page, header) for header in sheet.headers])
        for row in sheet.rows:
            page.append([plain(page, value) for value in row])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def plain(page, value):
    """A text that begins like a formula stays text."""
    if isinstance(value, str) and value[:1] == "=":
        held = WriteOnlyCell(page, value=value)
        held.data_type = "s"
        return held
    return value


def styled(page, value):
    held = WriteOnlyCell(page, value=value)
    if isinstance(value, str):
        held.data_type = "s"
    held.font = Font(bold=True)
    return held


def file_name(name, title):
    """A name without folders that ends in .xlsx."""
    name = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]+', " ", str(name or title or "workbook")).strip(" .")
    name = re.sub(r"(?i)\.(xlsx|xls|csv)$", "", name)[:80].strip(" .") or "workbook"
    return f"{name}.xlsx"


def handed(content, name, said):
    """The workbook within a result."""
    resource = BlobResourceContents(
        uri=f"excel-mcp://workbook/{quote(name, safe='')}", mime_type=XLSX, blob=base64.b64encode(content).decode()
    )
    text = TextContent(type="text", text=said)
    return CallToolResult(content=[text, EmbeddedResource(type="resource", resource=resource)])


def register(tools, workspace):
    """Adds the tools to those of the package."""

    def made(sheets, name, path, overwrite):
        content = written(sheets)
        rows = sum(len(sheet.rows) for sheet in sheets)
        said = f"The workbook {name} is made: {len(sheets)} sheet(s), {rows} row(s)."
        if path:
            stored = workspace.store(path, content, overwrite=overwrite)
            said += f" It is kept as {workspace.display(stored)}."
        return handed(content, name, said)

    @tools.destroyer("Create a workbook with data")
    def create_excel(
        title: Title = "",
        headers: Headers = None,
        data: Rows = None,
        path: Annotated[
            str, Field(description="Where to keep it, 'sales.xlsx' say, for the other tools. Nowhere unless given.")
        ] = "",
        sheets: Annotated[
            list[Any] | None,
            Field(description="Names of empty sheets, or sheets with data: {name, headers, data}."),
        ] = None,
        filename: FileName = "",
        sheet_name: SheetName = "",
        overwrite: Annotated[bool, Field(description="Replace an existing file at `path` (else an error).")] = False,
    ) -> CallToolResult:
        """Makes an Excel workbook from headers and rows and answers with the file, which the user can download."""
        if sheets:
            made_of = [sheet_of(it, None, None) if isinstance(it, str) else table_of(it, "") for it in sheets]
        else:
            made_of = [sheet_of(sheet_name or title, headers, data)]
        named = filename or (path.rsplit("/", 1)[-1] if path else "")
        return made(made_of, file_name(named, title), path, overwrite)

    @tools.destroyer("Create a simple workbook")
    def create_simple_excel(
        title: Title = "",
        headers: Headers = None,
        data: Rows = None,
        path: Annotated[str, Field(description="Where to keep it too, for the other tools.")] = "",
        filename: FileName = "",
        sheet_name: SheetName = "",
        overwrite: bool = False,
    ) -> CallToolResult:
        """Makes an Excel workbook of one sheet from headers and rows and answers with the file."""
        named = filename or (path.rsplit("/", 1)[-1] if path else "")
        return made([sheet_of(sheet_name or title, headers, data)], file_name(named, title), path, overwrite)

    @tools.destroyer("Create a workbook from JSON")
    def create_excel_from_json(
        data: Annotated[
            Any,
            Field(
                description="A list of objects or of lists; {headers, data}; several sheets as {name: rows} or "
                "{sheets: [{name, headers, data}]}. Also as JSON text."
            ),
        ] = None,
        title: Title = "",
        json_data: Annotated[Any, Field(description="Another name of `data`.")] = None,
        filename: FileName = "",
        sheet_name: SheetName = "",
        headers: Headers = None,
        path: Annotated[str, Field(description="Where to keep it too, for the other tools.")] = "",
        overwrite: bool = False,
    ) -> CallToolResult:
        """Makes an Excel workbook from JSON and answers with the file."""
        given = json_data if data is None else data
        if given is None:
            raise InvalidArgumentError("`data` is missing: give a list of objects, one for each row.")
        given = parsed(given, "data")
        if isinstance(given, dict) and not title:
            title = str(given.get("title") or "")
        if headers:
            made_of = [sheet_of(sheet_name or title, headers, given)]
        else:
            made_of = sheets_of(given, sheet_name or title)
        named = filename or (path.rsplit("/", 1)[-1] if path else "")
        return made(made_of, file_name(named, title), path, overwrite)


if __name__ == "__main__":
    folder = os.environ.get("EXCEL_FILES_PATH", "").split(os.pathsep)[0].strip()
    if folder:
        Path(folder).expanduser().mkdir(parents=True, exist_ok=True)
    excel_mcp.server.TOOL_MODULES += (sys.modules[__name__],)
    main()
