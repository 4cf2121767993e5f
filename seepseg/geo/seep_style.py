"""How QGIS shows seeps: QML, coloured by the probability of being one, the larger the more often a pass shows it."""

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from seepseg.geo.style import GREY, add_symbol, colour, one_symbol, renderer, text

# Lower bounds of p_seep, pale to dark, which also read in print.
COLOURS: Mapping[float, tuple[int, int, int]] = {
    0.95: (122, 1, 119),
    0.8: (197, 27, 138),
    0.5: (247, 104, 161),
    0.0: (251, 180, 185),
}
DARK = (35, 35, 35)  # edge of a marker
SIZE = 'coalesce(2 + 4 * "recurrence_rate", 2)'  # millimetres
BORDER = "0.3"  # millimetres, likewise
FAINT = 110  # opacity of lines to slicks, of 255: there are many


def style_of_seeps() -> str:
    """QML of a layer of seeps as points: circles by `p_seep`, squares for platforms, larger by `recurrence_rate`."""
    filters = {"platform": "\"kind\" = 'platform'"}
    bounds = list(COLOURS)
    for upper, lower in zip([None, *bounds], bounds, strict=False):
        below = "" if upper is None else f' AND "p_seep" < {upper}'
        label = f"seep, probability from {lower}" + ("" if upper is None else f" to {upper}")
        filters[label] = f'"kind" <> \'platform\' AND "p_seep" >= {lower}{below}'
    root, of_layer = renderer("RuleRenderer")
    rules, symbols = ET.SubElement(of_layer, "rules", key="all"), ET.SubElement(of_layer, "symbols")
    for number, ((label, condition), rgb) in enumerate(zip(filters.items(), [GREY, *COLOURS.values()], strict=True)):
        ET.SubElement(rules, "rule", key=f"rule{number}", filter=condition, symbol=str(number), label=label)
        options = {
            "name": "square" if number == 0 else "circle",
            "color": colour(rgb),
            "outline_color": colour(DARK),
            "outline_width": BORDER,
            "size": "4",
            "size_unit": "MM",
        }
        _add_size(add_symbol(symbols, str(number), "marker", "SimpleMarker", options))
    return text(root)


def style_of_errors() -> str:
    """QML of a layer of error ellipses: no inside, a thin edge."""
    options = {"style": "no", "outline_color": colour(GREY), "outline_width": BORDER, "outline_width_unit": "MM"}
    return one_symbol("fill", "SimpleFill", options)


def style_of_links() -> str:
    """QML of a layer of lines from seeps to the far ends of their slicks: thin and pale."""
    return one_symbol("line", "SimpleLine", {"line_color": colour(GREY, FAINT), "line_width": "0.2"})


def _add_size(of_symbol: ET.Element) -> None:
    """Let an expression say how large a marker is."""
    properties = ET.SubElement(ET.SubElement(of_symbol, "data_defined_properties"), "Option", type="Map")
    ET.SubElement(properties, "Option", type="QString", name="name", value="")
    size = ET.SubElement(
        ET.SubElement(properties, "Option", type="Map", name="properties"), "Option", type="Map", name="size"
    )
    ET.SubElement(size, "Option", type="bool", name="active", value="true")
    ET.SubElement(size, "Option", type="QString", name="expression", value=SIZE)
    ET.SubElement(size, "Option", type="int", name="type", value="3")
    ET.SubElement(properties, "Option", type="QString", name="type", value="collection")
