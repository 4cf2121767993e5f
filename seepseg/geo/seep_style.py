"""How QGIS shows seeps: QML, coloured by the probability of being one, the larger the more often a pass shows it."""

from collections.abc import Mapping
from xml.etree import ElementTree as ET

Rgb = tuple[int, int, int]

GREY: Rgb = (110, 110, 110)
# Lower bounds of p_seep, pale to dark, which also read in print.
COLOURS: Mapping[float, Rgb] = {0.95: (122, 1, 119), 0.8: (197, 27, 138), 0.5: (247, 104, 161), 0.0: (251, 180, 185)}
SIZE = 'coalesce(2 + 4 * "recurrence_rate", 2)'  # millimetres
BORDER = "0.3"  # millimetres, likewise


def style_of_seeps() -> str:
    """QML of a layer of seeps as points: circles by `p_seep`, squares for platforms, larger by `recurrence_rate`."""
    filters = {"platform": "\"kind\" = 'platform'"}
    bounds = list(COLOURS)
    for upper, lower in zip([None, *bounds], bounds, strict=False):
        below = "" if upper is None else f' AND "p_seep" < {upper}'
        label = f"seep, probability from {lower}" + ("" if upper is None else f" to {upper}")
        filters[label] = f'"kind" <> \'platform\' AND "p_seep" >= {lower}{below}'
    colours = [GREY, *COLOURS.values()]
    root = ET.Element("qgis", version="3.28.0", styleCategories="Symbology")
    renderer = _renderer(root, "RuleRenderer")
    rules, symbols = ET.SubElement(renderer, "rules", key="all"), ET.SubElement(renderer, "symbols")
    for number, ((label, text), colour) in enumerate(zip(filters.items(), colours, strict=True)):
        ET.SubElement(rules, "rule", key=f"rule{number}", filter=text, symbol=str(number), label=label)
        shape = "square" if number == 0 else "circle"
        options = {"name": shape, "color": _colour(colour), "outline_color": "35,35,35,255", "outline_width": BORDER}
        layer = _symbol(symbols, str(number), "marker", "SimpleMarker", options | {"size": "4", "size_unit": "MM"})
        _add_size(layer)
    return _text(root)


def style_of_errors() -> str:
    """QML of a layer of error ellipses: no inside, a thin edge."""
    options = {"style": "no", "outline_color": _colour(GREY), "outline_width": BORDER, "outline_width_unit": "MM"}
    return _one_symbol("fill", "SimpleFill", options)


def style_of_links() -> str:
    """QML of a layer of lines from seeps to the far ends of their slicks: thin and pale."""
    return _one_symbol("line", "SimpleLine", {"line_color": _colour(GREY, 110), "line_width": "0.2"})


def _one_symbol(kind: str, layer: str, options: dict[str, str]) -> str:
    root = ET.Element("qgis", version="3.28.0", styleCategories="Symbology")
    _symbol(ET.SubElement(_renderer(root, "singleSymbol"), "symbols"), "0", kind, layer, options)
    return _text(root)


def _renderer(root: ET.Element, kind: str) -> ET.Element:
    return ET.SubElement(root, "renderer-v2", type=kind, symbollevels="0", enableorderby="0", forceraster="0")


def _symbol(symbols: ET.Element, name: str, kind: str, of_layer: str, options: dict[str, str]) -> ET.Element:
    symbol = ET.SubElement(symbols, "symbol", type=kind, name=name, alpha="1", clip_to_extent="1", force_rhr="0")
    layer = ET.SubElement(symbol, "layer", {"class": of_layer, "enabled": "1", "pass": "0", "locked": "0"})
    found = ET.SubElement(layer, "Option", type="Map")
    for key, value in options.items():
        ET.SubElement(found, "Option", type="QString", name=key, value=value)
        ET.SubElement(layer, "prop", k=key, v=value)  # what QGIS before 3.26 reads
    return layer


def _add_size(layer: ET.Element) -> None:
    """Let an expression say how large a marker is."""
    properties = ET.SubElement(ET.SubElement(layer, "data_defined_properties"), "Option", type="Map")
    ET.SubElement(properties, "Option", type="QString", name="name", value="")
    size = ET.SubElement(
        ET.SubElement(properties, "Option", type="Map", name="properties"), "Option", type="Map", name="size"
    )
    ET.SubElement(size, "Option", type="bool", name="active", value="true")
    ET.SubElement(size, "Option", type="QString", name="expression", value=SIZE)
    ET.SubElement(size, "Option", type="int", name="type", value="3")
    ET.SubElement(properties, "Option", type="QString", name="type", value="collection")


def _colour(rgb: Rgb, opacity: int = 255) -> str:
    return ",".join(map(str, (*rgb, opacity)))


def _text(root: ET.Element) -> str:
    ET.indent(root)
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{ET.tostring(root, encoding='unicode')}\n"
