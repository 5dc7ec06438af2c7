"""pandas: data frames, series and indexes by their columns' arrays."""

from __future__ import annotations

import importlib
import sys
from typing import Any

_CLASSES = ("DataFrame", "Series", "Index", "RangeIndex", "MultiIndex", "DatetimeIndex")


def handles(kind: type) -> bool:
    """Whether a class is one of pandas' tables that this module can take apart."""
    return kind.__module__.partition(".")[0] == "pandas" and kind.__name__ in _CLASSES


def parts(value: Any) -> dict[str, Any] | None:
    """What a table is made of; ``None`` if it has columns of a kind that arrays can't hold."""
    name = type(value).__name__
    if name == "DataFrame":
        columns = [_column(value.iloc[:, i]) for i in range(value.shape[1])]
        if None in columns:
            return None
        return {"columns": columns, "labels": _index(value.columns), "index": _index(value.index)}
    if name == "Series":
        column = _column(value)
        return None if column is None else {"column": column, "name": value.name, "index": _index(value.index)}
    return _index(value)


def _column(series: Any) -> Any:
    if isinstance(series.dtype, sys.modules["pandas"].CategoricalDtype):
        held = series.array
        categories = {"categories": _index(held.categories), "ordered": bool(held.ordered)}
        return {"dtype": "category", "values": held.codes.copy(), **categories}
    return {"dtype": str(series.dtype), "values": series.to_numpy(copy=True)}


def _index(index: Any) -> dict[str, Any]:
    if type(index).__name__ == "RangeIndex":
        return {"range": range(index.start, index.stop, index.step), "names": list(index.names)}
    if type(index).__name__ == "MultiIndex":
        return {"tuples": list(index), "names": list(index.names)}
    return {"dtype": str(index.dtype), "values": index.to_numpy(copy=True), "names": list(index.names)}


def rebuild(kind: str, values: dict[str, Any], live: Any) -> Any:
    """A table from its parts; a live data frame is filled in place."""
    pandas = importlib.import_module("pandas")  # the loop may be what imports it
    if kind == "DataFrame":
        index = _new_index(pandas, values["index"])
        columns = {i: _new_column(pandas, column, index) for i, column in enumerate(values["columns"])}
        made = pandas.DataFrame(columns, index=index)
        made.columns = _new_index(pandas, values["labels"])
    elif kind == "Series":
        column = values["column"]
        index = _new_index(pandas, values["index"])
        made = _new_column(pandas, column, index, values["name"])
    else:
        return _new_index(pandas, values)
    if type(live) is type(made):
        live._update_inplace(made)
        return live
    return made


def _new_column(pandas: Any, column: dict[str, Any], index: Any, name: Any = None) -> Any:
    if column["dtype"] != "category":
        return pandas.Series(column["values"], index=index, dtype=column["dtype"], name=name)
    categories = _new_index(pandas, column["categories"])
    held = pandas.Categorical.from_codes(column["values"], categories, ordered=column["ordered"])
    return pandas.Series(held, index=index, name=name)


def _new_index(pandas: Any, values: dict[str, Any]) -> Any:
    if "range" in values:
        return pandas.RangeIndex(values["range"], name=values["names"][0])
    if "tuples" in values:
        return pandas.MultiIndex.from_tuples(values["tuples"], names=values["names"])
    return pandas.Index(values["values"], dtype=values["dtype"], name=values["names"][0])
